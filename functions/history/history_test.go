package history_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/functions/history"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/auth/authtest"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/pebble"
	"knatter.dev/chat/internal/pebble/pebbletest"
)

const room = chat.RoomID("room")

// fixture is the function over a real store and a real log of one partition, in
// which alice has a room.
type fixture struct {
	*testing.T
	f      *history.Function
	store  *pebble.Store
	config kafka.Config
	log    *kafka.Log
	signer *auth.Signer
}

func setUp(t *testing.T) *fixture {
	t.Helper()
	store := pebbletest.Memory(t)
	_, config := kafkatest.Cluster(t)
	config.Partitions = 1
	if err := kafka.EnsureTopics(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	x := &fixture{T: t, store: store, config: config, log: kafkatest.Log(t, config), signer: authtest.Signer(t)}
	x.f = history.New(function.Deps{Stores: store.Stores(), Log: x.log, Verifier: auth.NewVerifier(x.signer.Keys, nil)})
	x.opens(room, chat.Group, "alice", "앨리스")
	return x
}

// opens makes a room known, with one member.
func (x *fixture) opens(id chat.RoomID, kind chat.RoomKind, user chat.UserID, nickname string) {
	x.Helper()
	created := x.event(id, "created", user, chat.RoomCreated, chat.RoomData{Name: "room", Kind: kind})
	joined := x.event(id, "joined", user, chat.MemberJoined, chat.MemberData{User: user, Nickname: nickname, Role: chat.Owner})
	x.append(created, joined)
	if err := x.store.Rooms().Apply(x.Context(), []chat.Event{*created, *joined}); err != nil {
		x.Fatal(err)
	}
}

func (x *fixture) event(id chat.RoomID, event string, user chat.UserID, typ chat.Type, data any) *chat.Event {
	x.Helper()
	e, err := chat.NewEvent(event, user, typ, id, data)
	if err != nil {
		x.Fatal(err)
	}
	return &e
}

func (x *fixture) append(events ...*chat.Event) {
	x.Helper()
	if err := x.log.Append(x.Context(), events...); err != nil {
		x.Fatal(err)
	}
}

// says appends a message of alice.
func (x *fixture) says(id string) *chat.Event {
	x.Helper()
	e := x.event(room, id, "alice", chat.MessagePosted, chat.Posted{Text: id})
	x.append(e)
	return e
}

func (x *fixture) token(user chat.UserID) string {
	x.Helper()
	token, err := x.signer.Sign(auth.Claims{User: user, Session: "s", Expires: time.Now().Add(time.Minute)})
	if err != nil {
		x.Fatal(err)
	}
	return token
}

func (x *fixture) get(user chat.UserID, path string) *httptest.ResponseRecorder {
	x.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if user != "" {
		r.Header.Set("Authorization", "Bearer "+x.token(user))
	}
	w := httptest.NewRecorder()
	x.f.ServeHTTP(w, r)
	return w
}

type answer struct {
	Messages []struct {
		Sequence chat.Sequence
		ID       string
	}
	More bool
}

// messages are the ids that a page of messages holds.
func (x *fixture) messages(query string) (ids []string, got answer) {
	x.Helper()
	w := x.get("alice", "/v1/rooms/room/messages?"+query)
	if w.Code != http.StatusOK {
		x.Fatalf("%s: status %d: %s", query, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		x.Fatal(err)
	}
	for _, m := range got.Messages {
		ids = append(ids, m.ID)
	}
	return ids, got
}

// events are the ids that a page of events holds.
func (x *fixture) events(query string) (events []chat.Event, more bool) {
	x.Helper()
	w := x.get("alice", "/v1/rooms/room/events?"+query)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/cloudevents-batch+json" {
		x.Fatalf("%s: status %d, %s: %s", query, w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	events, err := chat.DecodeBatch(w.Body.Bytes())
	if err != nil {
		x.Fatal(err)
	}
	return events, w.Header().Get("Knatter-More") == "true"
}

func (x *fixture) equal(what string, got, want any) {
	x.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		x.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// persisting is what the persist function does.
func (x *fixture) persisting(ctx context.Context, events []chat.Event) error {
	if err := x.store.Events().Put(ctx, events); err != nil {
		return err
	}
	return x.store.Rooms().Apply(ctx, events)
}

type handlerFunc func(ctx context.Context, events []chat.Event) error

func (f handlerFunc) HandleEvents(ctx context.Context, events []chat.Event) error {
	return f(ctx, events)
}

// persists runs the persist group until the test ends.
func (x *fixture) persists(handle handlerFunc) {
	x.Helper()
	d := dispatch.New(x.config, chat.Persist, handle, dispatch.Options{MaxBatch: 7})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.Run(ctx); err != nil {
			x.Error(err)
		}
	}()
	x.Cleanup(func() { cancel(); <-done })
}

func TestMessageIsShownAsTheProtocolSays(t *testing.T) {
	x := setUp(t)
	e := x.event(room, "m-1", "alice", chat.MessagePosted, chat.Posted{Text: "안녕 <b>", ReplyTo: 7, Mentions: []chat.UserID{"bob"}, Attachments: json.RawMessage(`[{"a":1}]`)})
	e.Time = time.Date(2026, 1, 2, 3, 4, 5, 60e6, time.UTC)
	stranger := x.event(room, "m-2", "stranger", chat.MessagePosted, chat.Posted{Text: "hi"})
	stranger.Time = e.Time
	x.append(e, stranger)
	w := x.get("alice", "/v1/rooms/room/messages")
	want := fmt.Sprintf(`{"messages":[`+
		`{"sequence":"%s","id":"m-1","user":"alice","nickname":"앨리스","text":"안녕 <b>","time":"2026-01-02T03:04:05.060Z","replyTo":"0000000000000007","mentions":["bob"],"attachments":[{"a":1}]},`+
		`{"sequence":"%s","id":"m-2","user":"stranger","nickname":"","text":"hi","time":"2026-01-02T03:04:05.060Z"}],"more":false,"sequence":"%s"}`, e.Sequence, stranger.Sequence, stranger.Sequence)
	x.equal("answer", strings.TrimSpace(w.Body.String()), want)
}

func TestPaging(t *testing.T) {
	x := setUp(t)
	var all []*chat.Event
	for i := range 7 {
		all = append(all, x.says(fmt.Sprint(i)))
		x.append(x.event(room, fmt.Sprint("route", i), "", chat.RouteOpened, chat.RouteData{}))
	}
	for _, where := range []string{"log", "store"} {
		for _, tt := range []struct {
			query string
			want  string
			more  bool
		}{
			{"", "0 1 2 3 4 5 6", false},
			{"limit=3", "4 5 6", true},
			{"limit=7", "0 1 2 3 4 5 6", false},
			{"before=" + all[4].Sequence.String() + "&limit=3", "1 2 3", true},
			{"before=" + all[1].Sequence.String(), "0", false},
			{"before=0000000000000000", "", false},
			{"after=0000000000000000&limit=3", "0 1 2", true},
			{"after=" + all[3].Sequence.String(), "4 5 6", false},
			{"after=" + all[6].Sequence.String(), "", false},
			{"after=" + all[1].Sequence.String() + "&before=" + all[4].Sequence.String(), "2 3", false},
			{"after=" + all[1].Sequence.String() + "&before=" + all[5].Sequence.String() + "&limit=2", "2 3", true},
			{"after=" + all[4].Sequence.String() + "&before=" + all[1].Sequence.String(), "", false},
			{"after=9007199254740991", "", false},
		} {
			ids, got := x.messages(tt.query)
			x.equal(where+" "+tt.query, fmt.Sprint(strings.Join(ids, " "), got.More), fmt.Sprint(tt.want, tt.more))
		}
		events, more := x.events("limit=3")
		x.equal(where+" events", fmt.Sprint(events[0].ID, events[1].ID, events[2].ID, more), "456true")
		events, more = x.events("after=0000000000000000")
		x.equal(where+" all events", fmt.Sprint(len(events), events[0].Type.Short(), more), "9room.createdfalse")

		persisted := make(chan struct{})
		if where == "log" { // once more, from the store
			x.persists(func(ctx context.Context, events []chat.Event) error {
				err := x.persisting(ctx, events)
				if events[len(events)-1].ID == "6" {
					close(persisted)
				}
				return err
			})
			<-persisted
		}
	}
}

func TestAccess(t *testing.T) {
	x := setUp(t)
	x.opens("direct", chat.Direct, "alice", "a")
	left := x.event(room, "left", "carol", chat.MemberLeft, chat.MemberData{User: "carol"})
	x.append(left)
	if err := x.store.Rooms().Apply(t.Context(), []chat.Event{*left}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		user   chat.UserID
		path   string
		status int
	}{
		{"", "/v1/rooms/room/messages", 401},
		{"bob", "/v1/rooms/room/messages", 403},
		{"carol", "/v1/rooms/room/messages", 403},
		{"bob", "/v1/rooms/direct/messages", 404},
		{"alice", "/v1/rooms/direct/messages", 200},
		{"alice", "/v1/rooms/nowhere/messages", 404},
		{"alice", "/v1/rooms/@alice/messages", 404},
		{"alice", "/v1/rooms/%20/messages", 404},
		{"alice", "/v1/rooms/room/others", 404},
		{"alice", "/v1/rooms/room/messages?limit=200", 200},
		{"alice", "/v1/rooms/room/messages?limit=201", 422},
		{"alice", "/v1/rooms/room/messages?limit=0", 422},
		{"alice", "/v1/rooms/room/messages?limit=x", 422},
		{"alice", "/v1/rooms/room/messages?limit=", 422},
		{"alice", "/v1/rooms/room/messages?after=12", 422},
		{"alice", "/v1/rooms/room/messages?before=-000000000000001", 422},
		{"alice", "/v1/rooms/room/messages?before=9999999999999999", 422},
	} {
		for _, path := range []string{tt.path, strings.Replace(tt.path, "messages", "events", 1)} {
			if strings.HasSuffix(path, "events?limit=201") {
				continue
			}
			w := x.get(tt.user, path)
			if w.Code != tt.status {
				t.Errorf("%s %s: status %d, want %d: %s", tt.user, path, w.Code, tt.status, w.Body)
			}
		}
	}
	if w := x.get("alice", "/v1/rooms/room/events?limit=1000"); w.Code != 200 {
		t.Errorf("1000 events: status %d", w.Code)
	}
	if w := x.get("alice", "/v1/rooms/room/events?limit=1001"); w.Code != 422 {
		t.Errorf("1001 events: status %d", w.Code)
	}
}

// While persist lags at random, each message is shown right after it was
// acknowledged, and whoever pages by sequence sees each exactly once.
func TestHistoryIsCompleteWhilePersistLags(t *testing.T) {
	x := setUp(t)
	x.persists(func(ctx context.Context, events []chat.Event) error {
		select {
		case <-time.After(rand.N(20 * time.Millisecond)):
		case <-ctx.Done():
			return ctx.Err()
		}
		return x.persisting(ctx, events)
	})

	const writers, each = 4, 50
	var mu sync.Mutex
	var want []string
	var sequences []chat.Sequence
	var wg sync.WaitGroup
	written := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				e := x.event(room, fmt.Sprintf("%d-%d", w, i), "alice", chat.MessagePosted, chat.Posted{Text: "x"})
				if err := x.log.Append(t.Context(), e); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				want = append(want, e.ID)
				sequences = append(sequences, e.Sequence)
				mu.Unlock()
				if ids, _ := x.messages("limit=50"); !slices.Contains(ids, e.ID) {
					t.Errorf("%s is missing right after its acknowledgement", e.ID)
				}
			}
		})
	}
	var seen []chat.Sequence
	reader := make(chan struct{})
	go func() {
		defer close(reader)
		after, last := chat.Sequence(0), false
		for {
			_, got := x.messages(fmt.Sprintf("limit=7&after=%s", after))
			for _, m := range got.Messages {
				seen = append(seen, m.Sequence)
				after = m.Sequence
			}
			if last && len(got.Messages) == 0 {
				return
			}
			select {
			case <-written:
				last = true
			default:
			}
		}
	}()
	wg.Wait()
	close(written)
	<-reader
	slices.Sort(sequences)
	if !slices.Equal(seen, sequences) {
		t.Errorf("the reader saw %d messages, %d were written", len(seen), len(sequences))
	}
	if len(want) != writers*each {
		t.Errorf("%d written", len(want))
	}
}

// Whatever part of the log has been persisted, in whatever order, history is what
// a single reader of the log would say: hidden events left out, of the same event
// only the first.
func TestHistoryIsTheLogWhateverIsPersisted(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			x := setUp(t)
			random := rand.New(rand.NewPCG(seed, 0))
			logged, want := x.randomEvents(random, 60)
			x.persistSome(random, logged)

			for range 30 {
				r := chat.Range{Limit: 1 + random.IntN(25), Newest: random.IntN(2) == 0}
				query := fmt.Sprintf("limit=%d", r.Limit)
				if random.IntN(2) == 0 {
					r.Before = logged[random.IntN(len(logged))].Sequence
					query += "&before=" + r.Before.String()
				}
				if !r.Newest {
					r.After = logged[random.IntN(len(logged))].Sequence
					query += "&after=" + r.After.String()
				}
				check := func(what string, got []string, gotMore bool, all []chat.Event) {
					var ids []string
					for _, e := range all {
						if e.Sequence > r.After && (r.Before == 0 || e.Sequence < r.Before) {
							ids = append(ids, e.Sequence.String())
						}
					}
					more := len(ids) > r.Limit
					if more && r.Newest {
						ids = ids[len(ids)-r.Limit:]
					} else if more {
						ids = ids[:r.Limit]
					}
					// More may be said although nothing but repeats follows.
					if !slices.Equal(got, ids) || more && !gotMore {
						t.Errorf("%s %s:\n got %v %v\nwant %v %v", what, query, got, gotMore, ids, more)
					}
				}
				events, more := x.events(query)
				var got []string
				for _, e := range events {
					got = append(got, e.Sequence.String())
				}
				check("events", got, more, want)

				_, page := x.messages(query)
				got = nil
				for _, m := range page.Messages {
					got = append(got, m.Sequence.String())
				}
				check("messages", got, page.More, slices.DeleteFunc(slices.Clone(want), func(e chat.Event) bool { return e.Type != chat.MessagePosted }))
			}
		})
	}
}

// randomEvents appends messages, other events and repeats of them, and returns
// all that is logged and what history is to show.
func (x *fixture) randomEvents(random *rand.Rand, n int) (logged, shown []chat.Event) {
	x.Helper()
	first := make(map[string]bool)
	for range n {
		var e *chat.Event
		switch id := fmt.Sprint(random.IntN(n)); random.IntN(5) {
		case 0:
			e = x.event(room, "route"+id, "alice", chat.RouteOpened, chat.RouteData{})
		case 1:
			e = x.event(room, "read"+id, "alice", chat.ReadAdvanced, chat.ReadData{UpTo: 1})
		default:
			e = x.event(room, id, "alice", chat.MessagePosted, chat.Posted{Text: "x"})
		}
		x.append(e)
		logged = append(logged, *e)
		if !e.Type.Hidden() && !first[e.ID] {
			shown = append(shown, *e)
		}
		first[e.ID] = true
	}
	head, _, err := x.log.TailEnd(x.Context(), room.Stream())
	if err != nil {
		x.Fatal(err)
	}
	return logged, append([]chat.Event{head[0], head[1]}, shown...) // room.created, member.joined
}

// persistSome persists everything up to a random place, which it commits, and a
// random part of the rest.
func (x *fixture) persistSome(random *rand.Rand, logged []chat.Event) {
	x.Helper()
	at := random.IntN(len(logged))
	head, err := x.log.Tail(x.Context(), room.Stream())
	if err != nil {
		x.Fatal(err)
	}
	put := slices.Concat(head[:2], logged[:at])
	for _, e := range logged[at:] {
		if random.IntN(2) == 0 {
			put = append(put, e)
		}
	}
	random.Shuffle(len(put), func(i, j int) { put[i], put[j] = put[j], put[i] })
	if err := x.persisting(x.Context(), put); err != nil {
		x.Fatal(err)
	}
	x.commits(logged[at])
}

func TestWithoutTheLogHistoryIsUnavailable(t *testing.T) {
	x := setUp(t)
	x.log.Close()
	if w := x.get("alice", "/v1/rooms/room/messages"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// Pages are bound by bytes too, and who pages by sequence gets everything once, whether
// the store has it, the log alone, or both.
func TestPagesOfLargeMessages(t *testing.T) {
	const stored, both, all = 100, 20, 160
	x := setUp(t)
	var logged []chat.Event
	var want []string
	for i := range all {
		text := strings.Repeat("🍜", 4000)
		if i >= stored { // small ones would still fit behind a page that the store has cut
			text = "small"
		}
		e := x.event(room, fmt.Sprint(i), "alice", chat.MessagePosted, chat.Posted{Text: text})
		x.append(e)
		logged = append(logged, *e)
		want = append(want, e.ID)
	}
	if err := x.persisting(t.Context(), logged[:stored+both]); err != nil {
		t.Fatal(err)
	}
	x.commits(logged[stored])

	var got []string
	for after, more := chat.Sequence(0), true; more; {
		w := x.get("alice", "/v1/rooms/room/events?limit=1000&after="+after.String())
		if n := w.Body.Len(); n > 1<<20 {
			t.Fatalf("a page of %d bytes", n)
		}
		events, err := chat.DecodeBatch(w.Body.Bytes())
		if err != nil || len(events) == 0 {
			t.Fatalf("%d events, %v", len(events), err)
		}
		for _, e := range events {
			if e.Type == chat.MessagePosted {
				got = append(got, e.ID)
			}
		}
		after, more = events[len(events)-1].Sequence, w.Header().Get("Knatter-More") == "true"
	}
	x.equal("events", got, want)

	got = nil
	for query, more := "limit=200", true; more; {
		w := x.get("alice", "/v1/rooms/room/messages?"+query)
		if n := w.Body.Len(); n > 1<<20 {
			t.Fatalf("a page of %d bytes", n)
		}
		ids, page := x.messages(query)
		got = append(ids, got...)
		query, more = "limit=200&before="+page.Messages[0].Sequence.String(), page.More
	}
	x.equal("messages", got, want)
}

// commits makes persist done with everything before an event.
func (x *fixture) commits(before chat.Event) {
	x.Helper()
	kafkatest.Commit(x, x.config, chat.Persist.Group, 0, before.Sequence)
}
