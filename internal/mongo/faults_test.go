package mongo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/mongo/mongotest"
	"knatter.dev/chat/internal/wait"
)

// Whoever tries again until there is no error loses nothing and doubles nothing,
// whenever the server is killed.
func TestKilledServer(t *testing.T) {
	const writers, each = 4, 40
	server := mongotest.Start(t)
	s := connect(t, server.Database()+"?serverSelectionTimeoutMS=500")
	var failures sync.Map // kinds
	insist := func(f func() error) {
		for {
			err := f()
			if err == nil || t.Context().Err() != nil {
				return
			}
			failures.Store(chat.KindOf(err), err)
			wait.For(5*time.Millisecond, t.Context().Done())
		}
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			ctx := context.WithoutCancel(t.Context())
			room := chat.RoomID(fmt.Sprint("room-", w))
			for i := range each {
				seq := chat.Sequence(10*i + 1)
				var events []chat.Event
				var docs []chat.Document
				for j := range 5 {
					e := message(t, room, fmt.Sprint(i, "-", j), seq+chat.Sequence(j))
					again := e
					again.Sequence += 100_000
					events = append(events, again)
					docs = append(docs, documentOf(again, "a", "b"))
					insist(func() error { return s.Events().Put(ctx, []chat.Event{e}) })
					insist(func() error { return s.Index().Put(ctx, []chat.Document{documentOf(e, "a", "b")}) })
				}
				insist(func() error { return s.Events().Put(ctx, events) })
				insist(func() error { return s.Index().Put(ctx, docs) })
				joined := logged(t, chat.MemberJoined, room, "join", seq, chat.MemberData{User: "alice", Nickname: fmt.Sprint(i), Role: chat.Plain})
				read := logged(t, chat.ReadAdvanced, room, "read", seq+1, chat.ReadData{UpTo: seq})
				insist(func() error { return s.Rooms().Apply(ctx, []chat.Event{joined, read}) })
				insist(func() error {
					return s.Routes().Apply(ctx, []chat.RouteChange{{Stream: room.Stream(), Connector: i % 3, Open: i%2 == 0, Sequence: seq}})
				})
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	kills := 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(time.Second):
			server.Kill()
			kills++
			time.Sleep(100 * time.Millisecond) // down, while the writers try
			server.Restart()
		}
	}
	failures.Range(func(kind, err any) bool {
		if kind != chat.Unavailable {
			t.Errorf("an error that is not Unavailable: %v", err)
		}
		return true
	})
	t.Logf("killed %d times", kills)
	if kills < 2 {
		t.Error("the server was hardly ever killed")
	}

	postings := make(map[chat.RoomID]int)
	err := s.Index().Dump(t.Context(), func(room chat.RoomID, _ string, h chat.Hit) error {
		if h.Sequence > 100_000 {
			t.Errorf("%+v is a repeat", h)
		}
		postings[room]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for w := range writers {
		room := chat.RoomID(fmt.Sprint("room-", w))
		events, _, err := s.Events().Events(t.Context(), room, chat.Range{Limit: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		if len(events) != 5*each || events[len(events)-1].Sequence > 100_000 || postings[room] != 2*5*each {
			t.Errorf("%s has %d events and %d postings, want %d and %d", room, len(events), postings[room], 5*each, 2*5*each)
		}
		last := chat.Sequence(10*(each-1) + 1)
		member, err := s.Rooms().Membership(t.Context(), room, "alice")
		want := chat.Membership{Room: room, User: "alice", Nickname: fmt.Sprint(each - 1), Role: chat.Plain, Active: true, Since: 1, Sequence: last, Read: last}
		if err != nil || member != want {
			t.Errorf("got %+v, %v, want %+v", member, err, want)
		}
		routes, err := s.Routes().Connectors(t.Context(), []chat.StreamID{room.Stream()})
		if err != nil || fmt.Sprint(routes[room.Stream()]) != fmt.Sprint([]int{(each - 2) % 3}) {
			t.Errorf("routes of %s: %v, %v", room, routes, err)
		}
	}
}

// Without a server every call is Unavailable, in a time that is bounded.
func TestServerAway(t *testing.T) {
	server := mongotest.Start(t)
	s, err := Open(t.Context(), server.Database()+"?serverSelectionTimeoutMS=200")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	url := server.Database()
	server.Kill()
	for name, call := range calls(t, s) {
		start := time.Now()
		if err := call(t.Context()); chat.KindOf(err) != chat.Unavailable {
			t.Errorf("%s: got %v, want Unavailable", name, err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
	_, err = Open(t.Context(), url+"?serverSelectionTimeoutMS=200")
	if chat.KindOf(err) != chat.Unavailable || !strings.Contains(err.Error(), "knatter") {
		t.Errorf("opened: %v", err)
	}
	server.Restart()
	for deadline := time.Now().Add(10 * time.Second); s.Check(t.Context()) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("the store does not come back with its server")
		}
	}
	for name, call := range calls(t, s) {
		if err := call(t.Context()); err != nil && chat.KindOf(err) != chat.NotFound {
			t.Errorf("%s after a restart: %v", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestEndedContextAndClosedStore(t *testing.T) {
	s, err := Open(t.Context(), mongotest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range calls(t, s) {
		if err := call(ended); chat.KindOf(err) != chat.Unavailable {
			t.Errorf("%s in an ended context: got %v, want Unavailable", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range calls(t, s) {
		if err := call(t.Context()); chat.KindOf(err) != chat.Unavailable {
			t.Errorf("%s of a closed store: got %v, want Unavailable", name, err)
		}
	}
	if err := s.Close(); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("closed twice: %v", err)
	}
}

// calls are all that a store can be asked.
func calls(t *testing.T, s *Store) map[string]func(context.Context) error {
	e := message(t, "room", "id", 5)
	joined := logged(t, chat.MemberJoined, "room", "join", 6, chat.MemberData{User: "alice", Nickname: "a", Role: chat.Plain})
	read := logged(t, chat.ReadAdvanced, "room", "read", 7, chat.ReadData{UpTo: 5})
	of := chat.About{Message: 5}
	edited := logged(t, chat.MessageEdited, "room", "edit", 9, chat.Edited{About: of, Text: "new", Mentions: []chat.UserID{"bob"}})
	again := logged(t, chat.MessageEdited, "room", "edit", 8, chat.Edited{About: of, Text: "new", Mentions: []chat.UserID{"bob"}})
	reaction := logged(t, chat.ReactionAdded, "room", "reaction", 10, chat.Reaction{About: of, Emoji: "👍"})
	query := chat.Query{Rooms: []chat.RoomID{"room"}, Words: []chat.Word{{Any: [][]string{{"term"}}}}, Limit: 10}
	return map[string]func(context.Context) error{
		"Check": s.Check,
		"Put":   func(ctx context.Context) error { return s.Events().Put(ctx, []chat.Event{e}) },
		"Events": func(ctx context.Context) error {
			_, _, err := s.Events().Events(ctx, "room", chat.Range{Limit: 1})
			return err
		},
		"Firsts": func(ctx context.Context) error { _, err := s.Events().Firsts(ctx, []chat.Event{e}); return err },
		"Unread": func(ctx context.Context) error {
			_, err := s.Events().Unread(ctx, "room", "bob", chat.Range{Limit: 10})
			return err
		},
		"Mentions": func(ctx context.Context) error {
			_, err := s.Events().Mentions(ctx, "room", "bob", chat.Range{Limit: 10})
			return err
		},
		"At": func(ctx context.Context) error {
			_, err := s.Events().At(ctx, "room", []chat.Sequence{5, 6})
			return err
		},
		"Lives": func(ctx context.Context) error {
			_, err := s.Events().Lives(ctx, "room", []chat.Sequence{5, 6})
			return err
		},
		"Pinned": func(ctx context.Context) error {
			_, err := s.Events().Pinned(ctx, "room")
			return err
		},
		"Put about":  func(ctx context.Context) error { return s.Events().Put(ctx, []chat.Event{edited, again, reaction}) },
		"Scan":       func(ctx context.Context) error { return s.Events().Scan(ctx, func([]chat.Event) error { return nil }) },
		"Apply":      func(ctx context.Context) error { return s.Rooms().Apply(ctx, []chat.Event{joined}) },
		"Apply read": func(ctx context.Context) error { return s.Rooms().Apply(ctx, []chat.Event{read}) },
		"Room":       func(ctx context.Context) error { _, err := s.Rooms().Room(ctx, "room"); return err },
		"Membership": func(ctx context.Context) error { _, err := s.Rooms().Membership(ctx, "room", "alice"); return err },
		"Members":    func(ctx context.Context) error { _, err := s.Rooms().Members(ctx, "room"); return err },
		"RoomsOf":    func(ctx context.Context) error { _, err := s.Rooms().RoomsOf(ctx, "alice"); return err },
		"Create": func(ctx context.Context) error {
			return s.Accounts().Create(ctx, chat.Account{ID: "alice", Email: "alice@example.com"})
		},
		"Account":     func(ctx context.Context) error { _, err := s.Accounts().Account(ctx, "bob"); return err },
		"ByEmail":     func(ctx context.Context) error { _, err := s.Accounts().ByEmail(ctx, "bob@example.com"); return err },
		"SetNickname": func(ctx context.Context) error { return s.Accounts().SetNickname(ctx, "bob", "b") },
		"Befriend":    func(ctx context.Context) error { return s.Accounts().Befriend(ctx, "alice", "bob") },
		"Unfriend":    func(ctx context.Context) error { return s.Accounts().Unfriend(ctx, "alice", "bob") },
		"Friends":     func(ctx context.Context) error { _, err := s.Accounts().Friends(ctx, "alice"); return err },
		"Open":        func(ctx context.Context) error { return s.Sessions().Open(ctx, chat.Session{ID: "s"}) },
		"Session":     func(ctx context.Context) error { _, err := s.Sessions().Session(ctx, "none"); return err },
		"Rotate": func(ctx context.Context) error {
			_, err := s.Sessions().Rotate(ctx, "none", "a", "b", time.Now(), time.Now())
			return err
		},
		"Revoke": func(ctx context.Context) error { return s.Sessions().Revoke(ctx, "none") },
		"Attempt": func(ctx context.Context) error {
			_, err := s.Attempts().Attempt(ctx, "k", time.Minute, time.Now())
			return err
		},
		"Route": func(ctx context.Context) error {
			return s.Routes().Apply(ctx, []chat.RouteChange{{Stream: "room", Open: true, Sequence: 1}})
		},
		"Connectors": func(ctx context.Context) error {
			_, err := s.Routes().Connectors(ctx, []chat.StreamID{"room"})
			return err
		},
		"Index":  func(ctx context.Context) error { return s.Index().Put(ctx, []chat.Document{documentOf(e, "term")}) },
		"Search": func(ctx context.Context) error { _, _, err := s.Index().Search(ctx, query); return err },
		"Wipe":   s.Index().Wipe,
		"Dump": func(ctx context.Context) error {
			return s.Index().Dump(ctx, func(chat.RoomID, string, chat.Hit) error { return nil })
		},
	}
}

func TestTooLarge(t *testing.T) {
	s := fresh(t)
	e := message(t, "room", "large", 2)
	data, err := json.Marshal(chat.Posted{Text: strings.Repeat("long ", 17<<20/5)})
	if err != nil {
		t.Fatal(err)
	}
	e.Data = data
	if err := s.Events().Put(t.Context(), []chat.Event{message(t, "room", "small", 1), e}); chat.KindOf(err) != chat.TooLarge {
		t.Errorf("got kind %d: %.200v", chat.KindOf(err), err)
	}
	terms := make([]string, 1<<20)
	for i := range terms {
		terms[i] = fmt.Sprint("term ", i)
	}
	if err := s.Index().Put(t.Context(), []chat.Document{documentOf(e, terms...)}); chat.KindOf(err) != chat.TooLarge {
		t.Errorf("got kind %d: %.200v", chat.KindOf(err), err)
	}
	if events, _, err := s.Events().Events(t.Context(), "room", chat.Range{Limit: 1}); err != nil || len(events) > 0 {
		t.Errorf("got %v, %v", events, err)
	}
}

// What cannot be stored is refused before anything is.
func TestInvalid(t *testing.T) {
	s := fresh(t)
	ctx := t.Context()
	good := message(t, "room", "good", 1)
	for name, spoil := range map[string]func(*chat.Event){
		"no sequence":      func(e *chat.Event) { e.Sequence = 0 },
		"no stream":        func(e *chat.Event) { e.Stream = "" },
		"line feed in id":  func(e *chat.Event) { e.ID = "a\nb" },
		"NUL in source":    func(e *chat.Event) { e.Source = "/users/a\x00b" },
		"data is not JSON": func(e *chat.Event) { e.Data = json.RawMessage("{") },
		"data is not text": func(e *chat.Event) { e.Data = json.RawMessage("{\"text\":\"\xff\"}") },
	} {
		bad := message(t, "room", "bad", 2)
		spoil(&bad)
		if err := s.Events().Put(ctx, []chat.Event{good, bad}); !chat.KindOf(err).Never() {
			t.Errorf("event with %s: %v", name, err)
		}
	}
	joined := logged(t, chat.MemberJoined, "room", "join", 3, chat.MemberData{User: "alice"})
	nobody := logged(t, chat.MemberJoined, "room", "join", 4, chat.MemberData{User: "not a user"})
	for _, err := range []error{
		s.Rooms().Apply(ctx, []chat.Event{joined, nobody}),
		s.Index().Put(ctx, []chat.Document{documentOf(good, "term"), documentOf(good, "")}),
		s.Index().Put(ctx, []chat.Document{{Room: "room", Sequence: 1, Source: "a\nb"}}),
		s.Routes().Apply(ctx, []chat.RouteChange{{Stream: "room", Open: true, Sequence: 1}, {Stream: "", Sequence: 1}}),
		s.Accounts().Create(ctx, chat.Account{ID: "not an id"}),
		s.Accounts().Befriend(ctx, "alice", ""),
	} {
		if chat.KindOf(err) != chat.Invalid {
			t.Errorf("got %v, want Invalid", err)
		}
	}
	events, _, err := s.Events().Events(ctx, "room", chat.Range{Limit: 10})
	if err != nil || len(events) > 0 {
		t.Errorf("stored: %v, %v", events, err)
	}
	if members, err := s.Rooms().Members(ctx, "room"); err != nil || len(members) > 0 {
		t.Errorf("members: %v, %v", members, err)
	}
	if routes, err := s.Routes().Connectors(ctx, []chat.StreamID{"room"}); err != nil || len(routes) > 0 {
		t.Errorf("routes: %v, %v", routes, err)
	}
}
