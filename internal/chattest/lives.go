package chattest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// Lives checks what a [projection.Events] keeps of the lives of messages.
func Lives(t *testing.T, open func(t *testing.T) projection.Events) {
	ctx := t.Context()

	t.Run("nothing of nothing", func(t *testing.T) {
		s := open(t)
		must(t, s.Put(ctx, []chat.Event{message("room", "alice", "1", 1)}))
		wantLives(t, s, "room", []chat.Event{message("room", "alice", "1", 1)})
		for _, room := range []chat.RoomID{"room", "other", ""} {
			states, err := s.Lives(ctx, room, nil)
			must(t, err)
			events, err := s.At(ctx, room, nil)
			must(t, err)
			if len(states) != 0 || len(events) != 0 {
				t.Errorf("%q: %v, %v", room, states, events)
			}
		}
	})

	t.Run("in any order", func(t *testing.T) {
		shuffled(t, open, func(t *testing.T, s projection.Events, rnd *rand.Rand) {
			log := randomLives(rnd, 100)
			for _, batch := range deliveries(rnd, log) {
				must(t, s.Put(ctx, batch))
				if rnd.IntN(10) == 0 { // what is known of the unread is out of date from here on
					_, err := s.Unread(ctx, "one", "alice", chat.Range{Limit: 1000})
					must(t, err)
				}
			}
			wantAllLives(t, s, log, rnd)
		})
	})

	t.Run("at once", func(t *testing.T) {
		s := open(t)
		rnd := rand.New(rand.NewPCG(2, 2))
		log := randomLives(rnd, 150)
		must(t, s.Put(ctx, log))
		wantAllLives(t, s, log, rnd)
		must(t, s.Put(ctx, log))
		wantAllLives(t, s, log, rnd)
	})

	t.Run("concurrently", func(t *testing.T) {
		for seed := range uint64(3) {
			s := open(t)
			rnd := rand.New(rand.NewPCG(3, seed))
			log := randomLives(rnd, 120)
			putConcurrently(t, rnd, 4, log, s.Put)
			wantAllLives(t, s, log, rnd)
		}
	})

	t.Run("a deletion comes first", func(t *testing.T) {
		s := open(t)
		log := []chat.Event{
			logged(chat.MessagePosted, "one", "alice", "1", 1, chat.Posted{Text: "secret", ReplyTo: 1, Mentions: []chat.UserID{"bob"}, Attachments: json.RawMessage(`[{"file":"secret"}]`)}),
			logged(chat.MessageEdited, "one", "alice", "2", 2, chat.Edited{About: chat.About{Message: 1}, Text: "secret too", Mentions: []chat.UserID{chat.Everyone}}),
			logged(chat.MessageDeleted, "one", "alice", "3", 3, chat.About{Message: 1}),
		}
		for _, e := range slices.Backward(log) {
			must(t, s.Put(ctx, []chat.Event{e}))
		}
		wantAllLives(t, s, log, rand.New(rand.NewPCG(1, 1)))
		got, _, err := s.Events(ctx, "one", chat.Range{Limit: 2})
		must(t, err)
		wantEqual(t, "what is left", []string{string(got[0].Data), string(got[1].Data)},
			[]string{`{"deleted":true,"replyTo":"0000000000000001"}`, `{"message":"0000000000000001","deleted":true}`})
	})

	t.Run("what was counted is deleted", func(t *testing.T) {
		s := open(t)
		rnd := rand.New(rand.NewPCG(4, 4))
		var log []chat.Event
		for seq := chat.Sequence(1); seq <= 200; seq++ {
			log = append(log, message("one", livingUsers[rnd.IntN(3)], fmt.Sprint(seq), seq))
		}
		must(t, s.Put(ctx, log))
		settled := chat.Sequence(201)
		for round := range 12 {
			for range 10 {
				seq, of := chat.Sequence(len(log)+1), chat.Sequence(1+rnd.IntN(200))
				e := logged(chat.MessageDeleted, "one", "alice", fmt.Sprint(seq), seq, chat.About{Message: of})
				log = append(log, e)
				must(t, s.Put(ctx, []chat.Event{e}))
			}
			for _, user := range livingUsers {
				r := chat.Range{After: chat.Sequence(10 * round), Settled: settled, Limit: []int{1000, 100, 30}[rnd.IntN(3)]}
				modelOf(log).wantCounts(t, s, "one", user, log, r)
			}
		}
	})

	t.Run("what nobody can read is refused", func(t *testing.T) {
		s := open(t)
		bad := logged(chat.MessageEdited, "one", "alice", "2", 2, struct{}{})
		wantKind(t, s.Put(ctx, []chat.Event{message("one", "alice", "1", 1), bad}), chat.Invalid)
	})

	t.Run("many reactions of one", func(t *testing.T) {
		s := open(t)
		log := []chat.Event{message("one", "alice", "m", 1)}
		for i := range 600 {
			user, typ := chat.UserID(fmt.Sprint("user", i/4%100)), chat.ReactionAdded
			if i%4 == 1 {
				typ = chat.ReactionRemoved
			}
			emoji := chat.Reaction{About: chat.About{Message: 1}, Emoji: []string{"👍", "❤️"}[i/2%2]}
			log = append(log, logged(typ, "one", user, fmt.Sprint(i), chat.Sequence(2+i), emoji))
		}
		for batch := range slices.Chunk(log, 100) {
			must(t, s.Put(ctx, batch))
		}
		wantLives(t, s, "one", log)
	})
}

var livingUsers = []chat.UserID{"alice", "bob", "carol"}

// randomLives is a log of two rooms in which much is edited, deleted, reacted to and
// pinned, and a fifth of the events are resent.
func randomLives(rnd *rand.Rand, n int) (log []chat.Event) {
	posted := make(map[chat.RoomID][]chat.Sequence)
	for seq := chat.Sequence(1); seq <= chat.Sequence(n); seq++ {
		if len(log) > 0 && rnd.IntN(5) == 0 {
			again := log[rnd.IntN(len(log))]
			again.Sequence = seq
			log = append(log, again)
			continue
		}
		room, user := chat.RoomID([]string{"one", "two"}[rnd.IntN(2)]), livingUsers[rnd.IntN(3)]
		id := fmt.Sprint("id-", seq)
		e := logged(chat.MessagePosted, room, user, id, seq, randomPosted(rnd, seq))
		if of := posted[room]; len(of) > 0 && rnd.IntN(5) > 0 {
			m := of[rnd.IntN(len(of))]
			switch rnd.IntN(30) {
			case 0:
				m = seq + chat.Sequence(rnd.IntN(5)) // to come: the event says nothing
			case 1:
				m = 1 + chat.Sequence(rnd.IntN(int(seq))) // maybe none, or sent again
			}
			e = randomAbout(rnd, m, room, user, id, seq)
			if m >= seq && e.Type == chat.MessageDeleted {
				e.Type = chat.MessagePinned
			}
			if rnd.IntN(20) == 0 && e.Type != chat.MessageDeleted {
				// The same id for other things. But not for deletions, nor can what one of
				// them says change by its place: what it has erased does not come back.
				if other := log[rnd.IntN(len(log))]; other.Stream == e.Stream && other.Type != chat.MessageDeleted {
					e.ID, e.Source = other.ID, other.Source
				}
			}
		} else {
			posted[room] = append(posted[room], seq)
		}
		log = append(log, e)
	}
	return log
}

func randomPosted(rnd *rand.Rand, seq chat.Sequence) chat.Posted {
	p := chat.Posted{Text: fmt.Sprint("text ", seq), Mentions: randomMentions(rnd)}
	if rnd.IntN(3) == 0 {
		p.ReplyTo = 1
	}
	if rnd.IntN(3) == 0 {
		p.Attachments = json.RawMessage(`[{"file":"f"}]`)
	}
	return p
}

func randomMentions(rnd *rand.Rand) (users []chat.UserID) {
	all := append(slices.Clone(livingUsers), chat.Everyone)
	for range rnd.IntN(4) - 1 {
		users = append(users, all[rnd.IntN(len(all))])
	}
	return users
}

func randomAbout(rnd *rand.Rand, m chat.Sequence, room chat.RoomID, user chat.UserID, id string, seq chat.Sequence) chat.Event {
	about := chat.About{Message: m}
	switch rnd.IntN(12) {
	case 0:
		return logged(chat.MessageDeleted, room, user, id, seq, about)
	case 1, 2:
		return logged(chat.MessagePinned, room, user, id, seq, about)
	case 3:
		return logged(chat.MessageUnpinned, room, user, id, seq, about)
	case 4, 5, 6:
		return logged(chat.MessageEdited, room, user, id, seq, chat.Edited{About: about, Text: fmt.Sprint("edited ", seq), Mentions: randomMentions(rnd)})
	}
	typ := chat.ReactionAdded
	if rnd.IntN(3) == 0 {
		typ = chat.ReactionRemoved
	}
	return logged(typ, room, user, id, seq, chat.Reaction{About: about, Emoji: []string{"👍", "❤️"}[rnd.IntN(2)]})
}

// wantAllLives compares a store with a log of which it has been given everything.
func wantAllLives(t *testing.T, s projection.Events, log []chat.Event, rnd *rand.Rand) {
	t.Helper()
	for room, events := range firsts(log) {
		m := wantLives(t, s, room, events)
		stored := m.stored(t, events)
		wantPages(t, s, room, stored, rnd)
		wantAt(t, s, room, stored, rnd)
		for range 6 {
			r := chat.Range{After: chat.Sequence(rnd.IntN(80) - 1), Before: chat.Sequence(rnd.IntN(150)), Limit: 1 + rnd.IntN(30)}
			if rnd.IntN(2) == 0 {
				r.Settled = 1000
			}
			for range rnd.IntN(4) {
				r.Except = append(r.Except, chat.Sequence(1+rnd.IntN(150)))
			}
			for _, user := range append(livingUsers, "nobody") {
				m.wantCounts(t, s, room, user, events, r)
			}
		}
	}
}

// model is what becomes of a room's messages, by going through the log.
type model struct {
	lives map[chat.Sequence]*modelLife
}

type modelLife struct {
	edited, deleted, pinned chat.Sequence
	text                    string
	mentions                []chat.UserID
	reactions               map[string]chat.Sequence
}

func modelOf(events []chat.Event) model {
	m := model{lives: make(map[chat.Sequence]*modelLife)}
	for i := range events {
		e := &events[i]
		of := e.About()
		if of == 0 || of >= e.Sequence {
			continue
		}
		l := m.lives[of]
		if l == nil {
			l = &modelLife{reactions: make(map[string]chat.Sequence)}
			m.lives[of] = l
		}
		if l.deleted == 0 {
			l.apply(e)
		}
	}
	return m
}

func (l *modelLife) apply(e *chat.Event) {
	var d struct {
		Text     string        `json:"text"`
		Mentions []chat.UserID `json:"mentions"`
		Emoji    string        `json:"emoji"`
	}
	if err := chat.Unmarshal(e.Data, &d); err != nil {
		panic(err) // the suite's own data
	}
	reaction := string(e.User()) + " " + d.Emoji
	switch e.Type {
	case chat.MessageEdited:
		l.edited, l.text, l.mentions = e.Sequence, d.Text, d.Mentions
	case chat.MessageDeleted:
		*l = modelLife{deleted: e.Sequence}
	case chat.MessagePinned:
		l.pinned = cmp.Or(l.pinned, e.Sequence)
	case chat.MessageUnpinned:
		l.pinned = 0
	case chat.ReactionAdded:
		l.reactions[reaction] = cmp.Or(l.reactions[reaction], e.Sequence)
	case chat.ReactionRemoved:
		delete(l.reactions, reaction)
	}
}

// describe is a life as wantLives compares it.
func (l *modelLife) describe() string {
	order := slices.SortedFunc(maps.Keys(l.reactions), func(a, b string) int { return cmp.Compare(l.reactions[a], l.reactions[b]) })
	s := fmt.Sprint("edited ", l.edited, " ", l.text, l.mentions, " deleted ", l.deleted, " pinned ", l.pinned)
	for _, r := range order {
		s += fmt.Sprint(", ", r, " ", l.reactions[r])
	}
	return s
}

func describeState(s *projection.State) string {
	text := fmt.Sprint("edited ", s.EditedAt, " ", s.Text, s.Mentions, " deleted ", s.DeletedAt, " pinned ", s.Pin.Since())
	for _, r := range s.Reactions {
		text += fmt.Sprint(", ", r.User, " ", r.Emoji, " ", r.Since())
	}
	return text
}

// wantLives compares the lives of a room, and what is pinned in it.
func wantLives(t *testing.T, s projection.Events, room chat.RoomID, events []chat.Event) model {
	t.Helper()
	m := modelOf(events)
	var all []chat.Sequence
	for i := range events {
		all = append(all, events[i].Sequence)
	}
	all = append(all, 1<<50, 0, events[0].Sequence)
	states, err := s.Lives(t.Context(), room, all)
	must(t, err)
	for _, at := range all {
		got, want := new(projection.State), new(modelLife)
		if states[at] != nil {
			got = states[at]
		}
		if m.lives[at] != nil {
			want = m.lives[at]
		}
		if g, w := describeState(got), want.describe(); g != w {
			t.Fatalf("message %d of %s:\n got %s\nwant %s", at, room, g, w)
		}
	}
	var pinned []chat.Sequence
	for at, l := range m.lives {
		if l.pinned != 0 {
			pinned = append(pinned, at)
		}
	}
	slices.SortFunc(pinned, func(a, b chat.Sequence) int { return cmp.Compare(m.lives[a].pinned, m.lives[b].pinned) })
	got, err := s.Pinned(t.Context(), room)
	must(t, err)
	wantEqual(t, "pinned", append([]chat.Sequence{}, got...), append([]chat.Sequence{}, pinned...))
	return m
}

// stored is what is kept of the events.
func (m model) stored(t *testing.T, events []chat.Event) []chat.Event {
	t.Helper()
	kept := slices.Clone(events)
	for i := range kept {
		e := &kept[i]
		of := e.Sequence
		if e.Type == chat.MessageEdited {
			of = e.About()
		} else if e.Type != chat.MessagePosted {
			continue
		}
		if l := m.lives[of]; of > e.Sequence || l == nil || l.deleted == 0 {
			continue
		}
		var d chat.Posted
		must(t, e.Decode(&d))
		switch {
		case e.Type == chat.MessageEdited:
			e.Data = fmt.Appendf(nil, `{"message":"%s","deleted":true}`, of)
		case d.ReplyTo != 0:
			e.Data = fmt.Appendf(nil, `{"deleted":true,"replyTo":"%s"}`, d.ReplyTo)
		default:
			e.Data = []byte(`{"deleted":true}`)
		}
	}
	return kept
}

// wantAt reads messages, and what is none, by their sequences.
func wantAt(t *testing.T, s projection.Events, room chat.RoomID, stored []chat.Event, rnd *rand.Rand) {
	t.Helper()
	for range 5 {
		var asked []chat.Sequence
		for range rnd.IntN(40) {
			asked = append(asked, chat.Sequence(rnd.IntN(200)))
		}
		var want []chat.Event
		for _, e := range stored {
			if e.Type == chat.MessagePosted && slices.Contains(asked, e.Sequence) {
				want = append(want, e)
			}
		}
		got, err := s.At(t.Context(), room, asked)
		must(t, err)
		if len(got) != len(want) || len(got) > 0 && describe(got) != describe(want) {
			t.Fatalf("at %v:\n got %s\nwant %s", asked, describe(got), describe(want))
		}
	}
}

// wantCounts compares how many messages of a range are unread, and mention the user.
func (m model) wantCounts(t *testing.T, s projection.Events, room chat.RoomID, user chat.UserID, events []chat.Event, r chat.Range) {
	t.Helper()
	unread, mentions := 0, 0
	for i := range events {
		e := &events[i]
		if e.Type != chat.MessagePosted || e.User() == user || e.Sequence <= r.After || r.Before != 0 && e.Sequence >= r.Before || slices.Contains(r.Except, e.Sequence) {
			continue
		}
		var d chat.Posted
		must(t, e.Decode(&d))
		if l := m.lives[e.Sequence]; l != nil {
			if l.deleted != 0 {
				continue
			}
			if l.edited != 0 {
				d.Mentions = l.mentions
			}
		}
		unread++
		if slices.Contains(d.Mentions, user) || slices.Contains(d.Mentions, chat.Everyone) {
			mentions++
		}
	}
	got, err := s.Unread(t.Context(), room, user, r)
	must(t, err)
	if want := min(unread, r.Limit); got != want {
		t.Fatalf("%d unread of %s in %s, want %d: %+v", got, user, room, want, r)
	}
	if got, err = s.Mentions(t.Context(), room, user, r); err != nil || got != min(mentions, r.Limit) {
		t.Fatalf("%d mentions of %s in %s, want %d: %+v, %v", got, user, room, min(mentions, r.Limit), r, err)
	}
}
