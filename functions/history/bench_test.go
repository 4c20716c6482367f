package history_test

import (
	"crypto/ed25519"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/functions/history"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/pebble"
)

var (
	messages = flag.Int("messages", 50_000, "messages in the store of BenchmarkPage")
	storeDir = flag.String("store", "", "directory of that store; it is filled if it is empty, and stays")
)

const (
	benchRooms   = 500
	benchMembers = 10
	benchPage    = 200
	gathered     = 256 // events that are stored at once
)

// BenchmarkPage asks for pages of 200 messages, the newest and any, of -messages ones in
// 500 rooms of 10. For each 100 of them there are 30 reactions, 5 edits, 2 recalls and
// 10 replies.
func BenchmarkPage(b *testing.B) {
	dir := *storeDir
	if dir == "" {
		dir = b.TempDir()
	}
	store, err := pebble.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	l := &lively{B: b, store: store, rnd: rand.New(rand.NewPCG(1, 1)), last: make([][]chat.Sequence, benchRooms)}
	if known, err := store.Rooms().Members(b.Context(), l.room(0)); err != nil || len(known) == 0 {
		l.fill()
	}

	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	signer := auth.NewSigner(private)
	_, config := kafkatest.Cluster(b)
	config.Generation = 1 // all that is stored lies before it
	if err := kafka.EnsureTopics(b.Context(), config); err != nil {
		b.Fatal(err)
	}
	f := history.New(function.Deps{Stores: store.Stores(), Log: kafkatest.Log(b, config), Verifier: auth.NewVerifier(signer.Keys, nil)})
	newest, _, err := store.Events().Messages(b.Context(), l.room(0), chat.Range{Before: 1 << 48, Limit: 1, Newest: true})
	if err != nil || len(newest) == 0 {
		b.Fatal(len(newest), err)
	}
	end := newest[0].Sequence

	rnd := rand.New(rand.NewPCG(2, 2))
	for _, c := range []struct {
		name  string
		query func() string
	}{
		{"newest", func() string { return "" }},
		{"any", func() string { return "&before=" + chat.Sequence(rnd.Int64N(int64(end))+1).String() }},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took []time.Duration
			var page shown
			var full, reactions, quotes, bytes int
			for b.Loop() {
				room := rnd.IntN(benchRooms)
				token, err := signer.Sign(auth.Claims{User: l.user(room, 0), Session: "s", Expires: time.Now().Add(time.Hour)})
				if err != nil {
					b.Fatal(err)
				}
				r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/v1/rooms/%s/messages?limit=%d%s", l.room(room), benchPage, c.query()), nil)
				r.Header.Set("Authorization", "Bearer "+token)
				w := httptest.NewRecorder()
				start := time.Now()
				f.ServeHTTP(w, r)
				took = append(took, time.Since(start))
				b.StopTimer()
				bytes += w.Body.Len()
				page = shown{}
				if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK {
					b.Fatal(w.Code, err)
				}
				if len(page.Messages) == benchPage {
					full++
				}
				for _, m := range page.Messages {
					reactions += len(m.Reactions)
					if m.Quoted != nil {
						quotes++
					}
				}
				b.StartTimer()
			}
			slices.Sort(took)
			n := float64(len(took))
			b.ReportMetric(float64(took[len(took)/2])/1e6, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100])/1e6, "p99-ms")
			b.ReportMetric(float64(full)/n, "full")
			b.ReportMetric(float64(reactions)/n, "reactions")
			b.ReportMetric(float64(quotes)/n, "quotes")
			b.ReportMetric(float64(bytes)/n, "B/page")
		})
	}
}

// shown is what a page shows.
type shown struct {
	Messages []struct {
		Quoted    *struct{}  `json:"quoted"`
		Reactions []struct{} `json:"reactions"`
	} `json:"messages"`
}

// lively fills a store as a lively chat would.
type lively struct {
	*testing.B
	store *pebble.Store
	rnd   *rand.Rand
	seq   chat.Sequence
	batch []chat.Event
	last  [][]chat.Sequence // of each room
}

func (l *lively) room(n int) chat.RoomID { return chat.RoomID(fmt.Sprintf("room-%04d-aaaa", n)) }

func (l *lively) user(room, n int) chat.UserID {
	return chat.UserID(fmt.Sprintf("user-%06d", room*benchMembers+n))
}

func (l *lively) fill() {
	start := time.Now()
	for room := range benchRooms {
		l.add(room, 0, chat.RoomCreated, chat.RoomData{Name: "room", Kind: chat.Group})
		for n := range benchMembers {
			l.add(room, n, chat.MemberJoined, chat.MemberData{User: l.user(room, n), Nickname: fmt.Sprint("사람 ", n), Role: chat.Plain})
		}
	}
	if err := l.store.Rooms().Apply(l.Context(), l.batch); err != nil {
		l.Fatal(err)
	}
	l.put()
	words := strings.Fields("오늘 내일 회의 점심 저녁 정말 좋아요 그래요 나중에 확인하고 연락드릴게요 배포 서버 감사합니다 ㅋㅋㅋ 네 알겠습니다")
	senders := make(map[chat.Sequence]int)
	for n := range *messages {
		room := l.rnd.IntN(benchRooms)
		recent := l.last[room]
		var text []string
		for range 3 + l.rnd.IntN(8) {
			text = append(text, words[l.rnd.IntN(len(words))])
		}
		posted := chat.Posted{Text: strings.Join(text, " ")}
		if len(recent) > 0 && n%10 == 0 {
			posted.ReplyTo = recent[l.rnd.IntN(len(recent))]
		}
		sender := l.rnd.IntN(benchMembers)
		at := l.add(room, sender, chat.MessagePosted, posted)
		senders[at] = sender
		if len(recent) == 100 {
			delete(senders, recent[0])
			recent = recent[:copy(recent, recent[1:])]
		}
		recent = append(recent, at)
		l.last[room] = recent
		about := chat.About{Message: recent[l.rnd.IntN(len(recent))]}
		switch r := l.rnd.IntN(100); {
		case r < 30:
			l.add(room, l.rnd.IntN(benchMembers), chat.ReactionAdded, chat.Reaction{About: about, Emoji: []string{"👍", "🎉", "😂", "🙏"}[l.rnd.IntN(4)]})
		case r < 35:
			l.add(room, senders[about.Message], chat.MessageEdited, chat.Edited{About: about, Text: posted.Text + "!"})
		case r < 37:
			l.add(room, senders[about.Message], chat.MessageDeleted, about)
		}
		if len(l.batch) >= gathered {
			l.put()
		}
	}
	l.put()
	l.Logf("filled in %v", time.Since(start).Round(time.Second))
}

func (l *lively) add(room, user int, typ chat.Type, data any) chat.Sequence {
	l.seq++
	e, err := chat.NewEvent(fmt.Sprintf("%012x-7%015x", l.seq, l.rnd.Uint64()>>4), l.user(room, user), typ, l.room(room), data)
	if err != nil {
		l.Fatal(err)
	}
	e.Sequence, e.Stream, e.Time = l.seq, l.room(room).Stream(), time.UnixMilli(1<<40+int64(l.seq)).UTC()
	l.batch = append(l.batch, e)
	return l.seq
}

func (l *lively) put() {
	if err := l.store.Events().Put(l.Context(), l.batch); err != nil {
		l.Fatal(err)
	}
	l.batch = l.batch[:0]
}
