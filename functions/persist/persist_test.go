package persist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/pebble"
	"knatter.dev/chat/internal/pebble/pebbletest"
	"knatter.dev/chat/internal/projection"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/store"
)

func openStore(t *testing.T) *pebble.Store {
	t.Helper()
	s := pebbletest.Memory(t)
	return s
}

func logged(t *testing.T, user chat.UserID, id string, seq chat.Sequence, typ chat.Type, data any) chat.Event {
	t.Helper()
	e, err := chat.NewEvent(id, user, typ, "room", data)
	if err != nil {
		t.Fatal(err)
	}
	e.Sequence = seq
	return e
}

// life is what happens in a room: created, joined, talked, read, left. Message 6
// is resent as 9.
func life(t *testing.T) []chat.Event {
	return []chat.Event{
		logged(t, "alice", "1", 1, chat.RoomCreated, chat.RoomData{Name: "first", Kind: chat.Group}),
		logged(t, "alice", "2", 2, chat.MemberJoined, chat.MemberData{User: "alice", Nickname: "al", Role: chat.Owner}),
		logged(t, "alice", "3", 3, chat.MemberJoined, chat.MemberData{User: "bob", Nickname: "bo", Role: chat.Plain}),
		logged(t, "x", "4", 4, chat.RouteOpened, chat.RouteData{}),
		logged(t, "alice", "5", 5, chat.RoomUpdated, chat.RoomData{Name: "second"}),
		logged(t, "bob", "6", 6, chat.MessagePosted, chat.Posted{Text: "hello"}),
		logged(t, "alice", "7", 7, chat.ReadAdvanced, chat.ReadData{UpTo: 6}),
		logged(t, "alice", "8", 8, chat.MemberRemoved, chat.MemberData{User: "bob", Nickname: "bo", Role: chat.Plain}),
		logged(t, "bob", "6", 9, chat.MessagePosted, chat.Posted{Text: "hello"}),
	}
}

// wantLife checks what is left of life.
func wantLife(t *testing.T, s *pebble.Store) {
	t.Helper()
	events, more, err := s.Events().Events(t.Context(), "room", chat.Range{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var got []chat.Sequence
	for _, e := range events {
		got = append(got, e.Sequence)
	}
	if want := "[0000000000000001 0000000000000002 0000000000000003 0000000000000005 0000000000000006 0000000000000007 0000000000000008]"; fmt.Sprint(got) != want || more {
		t.Errorf("history is %v, want %v", got, want)
	}
	room, err := s.Rooms().Room(t.Context(), "room")
	if err != nil || room.Name != "second" || room.Kind != chat.Group || room.Sequence != 5 {
		t.Errorf("room is %+v, %v", room, err)
	}
	alice, err := s.Rooms().Membership(t.Context(), "room", "alice")
	if err != nil || !alice.Active || alice.Role != chat.Owner || alice.Read != 6 {
		t.Errorf("alice is %+v, %v", alice, err)
	}
	bob, err := s.Rooms().Membership(t.Context(), "room", "bob")
	if err != nil || bob.Active || bob.Sequence != 8 {
		t.Errorf("bob is %+v, %v", bob, err)
	}
}

func TestHandle(t *testing.T) {
	t.Run("in order, then rewound", func(t *testing.T) {
		s := openStore(t)
		f := New(function.Deps{Stores: s.Stores()})
		for _, events := range [][]chat.Event{life(t), life(t), life(t)[:4], life(t)[3:]} {
			if err := f.HandleEvents(t.Context(), events); err != nil {
				t.Fatal(err)
			}
			wantLife(t, s)
		}
	})
	t.Run("one by one, twice, backwards", func(t *testing.T) {
		s := openStore(t)
		f := New(function.Deps{Stores: s.Stores()})
		events := life(t)
		for i := len(events) - 1; i >= 0; i-- {
			for range 2 {
				if err := f.HandleEvents(t.Context(), events[i:i+1]); err != nil {
					t.Fatal(err)
				}
			}
		}
		wantLife(t, s)
	})
	t.Run("copies on users' streams and unknown types are ignored", func(t *testing.T) {
		s := openStore(t)
		f := New(function.Deps{Stores: s.Stores()})
		copied := life(t)[2]
		copied.Stream = chat.StreamOf("bob")
		unknown := logged(t, "alice", "u", 20, chat.Prefix+"message.sung", chat.Posted{})
		if err := f.HandleEvents(t.Context(), []chat.Event{copied, unknown}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Rooms().Membership(t.Context(), "room", "bob"); chat.KindOf(err) != chat.NotFound {
			t.Errorf("bob: %v", err)
		}
		if events, _, err := s.Events().Events(t.Context(), "room", chat.Range{Limit: 1}); err != nil || len(events) != 0 {
			t.Errorf("history is %v, %v", events, err)
		}
	})
}

// TestLives handles what happens to messages in order, again, and backwards. The edit 2
// and the reaction 3 are resent, after others that count.
func TestLives(t *testing.T) {
	of := chat.About{Message: 1}
	kept := logged(t, "alice", "1", 1, chat.MessagePosted, chat.Posted{Text: "hello"})
	edit := logged(t, "alice", "2", 2, chat.MessageEdited, chat.Edited{About: of, Text: "hullo"})
	like := logged(t, "bob", "3", 3, chat.ReactionAdded, chat.Reaction{About: of, Emoji: "👍"})
	events := []chat.Event{
		kept, edit, like,
		logged(t, "alice", "4", 4, chat.MessageEdited, chat.Edited{About: of, Text: "hallo"}),
		logged(t, "bob", "5", 5, chat.ReactionRemoved, chat.Reaction{About: of, Emoji: "👍"}),
		logged(t, "alice", "6", 6, chat.MessagePinned, of),
		logged(t, "bob", "7", 7, chat.MessagePosted, chat.Posted{Text: "secret"}),
		logged(t, "bob", "8", 8, chat.MessageDeleted, chat.About{Message: 7}),
	}
	edit.Sequence, like.Sequence = 9, 10
	events = append(events, edit, like)
	backwards := slices.Clone(events)
	slices.Reverse(backwards)
	for name, batches := range map[string][][]chat.Event{
		"in order, then rewound":       {events, events, events[:4], events[3:]},
		"one by one, backwards, twice": slices.Collect(slices.Chunk(slices.Concat(backwards, backwards), 1)),
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t)
			f := New(function.Deps{Stores: s.Stores()})
			for _, batch := range batches {
				if err := f.HandleEvents(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			states, err := s.Events().Lives(t.Context(), "room", []chat.Sequence{1, 7})
			if err != nil {
				t.Fatal(err)
			}
			if m := states[1]; m.Text != "hallo" || m.Pin.Since() != 6 || len(m.Reactions) != 0 {
				t.Errorf("message 1: %+v", m)
			}
			messages, _, err := s.Events().Messages(t.Context(), "room", chat.Range{Limit: 10})
			if err != nil || len(messages) != 2 || string(messages[1].Data) != `{"deleted":true}` || !states[7].Deleted() {
				t.Errorf("message 7: %+v, %v, %v", states[7], messages, err)
			}
		})
	}
}

// post sends an event as KafkaSource and the dispatcher do, and returns the
// status. A body that is no event is sent as it is.
func post(f http.Handler, contentType string, body []byte) int {
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Code
}

// over is the function over HTTP.
func over(stores store.Stores) http.Handler {
	return serve.Events(Spec.Events(function.Deps{Stores: stores}), nil)
}

const structured = "application/cloudevents+json"

// TestConcurrentRequests handles many requests at once: each is durable when it
// is answered, and they share commits.
func TestConcurrentRequests(t *testing.T) {
	s := openStore(t)
	counted := &countedEvents{stored: s.Events()}
	f := over(store.Stores{Events: counted, Rooms: s.Rooms()})
	const n = 500
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			id := fmt.Sprint("id-", i)
			e := logged(t, "alice", id, chat.Sequence(i+1), chat.MessagePosted, chat.Posted{Text: "text"})
			if status := post(f, structured, e.AppendFrame(nil)); status != http.StatusNoContent {
				t.Errorf("status %d", status)
			}
			if first, err := first(t, s.Events(), e.Source, id); err != nil || first != e.Sequence {
				t.Errorf("answered, but the store has %d, %v", first, err)
			}
		})
	}
	wg.Wait()
	if puts := counted.puts.Load(); puts >= n {
		t.Errorf("%d requests took %d puts", n, puts)
	}
}

type stored = projection.Events

type countedEvents struct {
	stored
	puts atomic.Int64
}

func (c *countedEvents) Put(ctx context.Context, events []chat.Event) error {
	c.puts.Add(1)
	return c.stored.Put(ctx, events)
}

func TestBatch(t *testing.T) {
	s := openStore(t)
	f := over(s.Stores())
	if status := post(f, "application/cloudevents-batch+json", chat.AppendBatch(nil, life(t))); status != http.StatusNoContent {
		t.Fatalf("status %d", status)
	}
	wantLife(t, s)
}

// TestPoison sends what can never be stored: the answer says never, and the good
// events that come at the same time are not held up.
func TestPoison(t *testing.T) {
	s := openStore(t)
	f := over(s.Stores())
	frame := func(typ chat.Type, data any) []byte {
		e := logged(t, "alice", "bad", 5, typ, data)
		return e.AppendFrame(nil)
	}
	noUser := logged(t, "", "bad", 5, chat.ReadAdvanced, chat.ReadData{UpTo: 1})
	noUser.Source = "/system"
	poison := map[string][]byte{
		"not JSON":                 []byte(`{"specversion"`),
		"not an event":             []byte(`{}`),
		"no room":                  []byte(`{"specversion":"1.0","id":"1","source":"/users/a","type":"dev.knatter.message.posted","sequence":"0000000000000001","data":{"text":"x"}}`),
		"no sequence":              []byte(`{"specversion":"1.0","id":"1","source":"/users/a","type":"dev.knatter.message.posted","subject":"room","data":{"text":"x"}}`),
		"text is a number":         frame(chat.MessagePosted, map[string]any{"text": 1}),
		"member without a user":    frame(chat.MemberJoined, map[string]any{}),
		"member is an array":       frame(chat.MemberJoined, []int{}),
		"read by nobody":           noUser.AppendFrame(nil),
		"read up to no sequence":   frame(chat.ReadAdvanced, map[string]any{"upTo": "yesterday"}),
		"edit of no message":       frame(chat.MessageEdited, map[string]any{"text": "x"}),
		"room's name is an object": frame(chat.RoomCreated, map[string]any{"name": map[string]any{}}),
	}
	var wg sync.WaitGroup
	for name, body := range poison {
		wg.Go(func() {
			if status := post(f, structured, body); status < 400 || status > 499 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests {
				t.Errorf("%s: status %d", name, status)
			}
		})
	}
	for i := range 50 {
		wg.Go(func() {
			e := logged(t, "bob", fmt.Sprint(i), chat.Sequence(100+i), chat.MessagePosted, chat.Posted{Text: "good"})
			if status := post(f, structured, e.AppendFrame(nil)); status != http.StatusNoContent {
				t.Errorf("status %d", status)
			}
		})
	}
	wg.Wait()
	events, _, err := s.Events().Events(t.Context(), "room", chat.Range{Limit: 1000})
	if err != nil || len(events) != 50 {
		t.Errorf("%d events are stored, %v", len(events), err)
	}
}

// TestFailureBetween makes the history fail after the rooms were changed: the
// event is to be handled again, and then both have it.
func TestFailureBetween(t *testing.T) {
	s := openStore(t)
	failing := &failingEvents{stored: s.Events()}
	failing.fail.Store(true)
	f := over(store.Stores{Events: failing, Rooms: s.Rooms()})
	e := life(t)[1]
	if status := post(f, structured, e.AppendFrame(nil)); status != http.StatusServiceUnavailable {
		t.Fatalf("status %d", status)
	}
	if m, err := s.Rooms().Membership(t.Context(), "room", "alice"); err != nil || !m.Active {
		t.Errorf("alice is %+v, %v", m, err)
	}
	failing.fail.Store(false)
	if status := post(f, structured, e.AppendFrame(nil)); status != http.StatusNoContent {
		t.Fatalf("status %d", status)
	}
	if first, err := first(t, s.Events(), e.Source, e.ID); err != nil || first != e.Sequence {
		t.Errorf("the store has %d, %v", first, err)
	}
}

type failingEvents struct {
	stored
	fail atomic.Bool
}

func (f *failingEvents) Put(ctx context.Context, events []chat.Event) error {
	if f.fail.Load() {
		return chat.Errorf(chat.Unavailable, "store: %w", errors.New("away"))
	}
	return f.stored.Put(ctx, events)
}

// As KafkaSource sends it, an event has an offset, which the log's lineage makes a
// sequence of.
func TestStart(t *testing.T) {
	env := map[string]string{"KNATTER_STORE": "pebble:" + t.TempDir()}
	stores, err := open.StoreOf(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	lineage := chat.Lineage{Log: "log", Generations: []chat.Generation{{Number: 2}}}
	if err := errors.Join(stores.Progress.SetLineage(t.Context(), lineage, chat.Lineage{}), stores.Close()); err != nil {
		t.Fatal(err)
	}
	f := Spec.Instance()
	if err := f.Start(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	kafka := []byte(`{"specversion":"1.0","id":"k","source":"/users/a","type":"dev.knatter.message.posted","subject":"room","knativekafkaoffset":"7","data":{"text":"x"}}`)
	if status := post(http.HandlerFunc(f.Handle), structured, kafka); status != http.StatusNoContent {
		t.Fatalf("status %d", status)
	}
	if err := f.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stores, err = open.StoreOf(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	defer stores.Close()
	if first, err := first(t, stores.Events, "/users/a", "k"); err != nil || first != chat.SequenceAt(2, 7) {
		t.Errorf("the store has %d, %v", first, err)
	}
}

// first is the sequence under which an event of the room is stored.
func first(t *testing.T, events chat.EventStore, source, id string) (chat.Sequence, error) {
	t.Helper()
	all, err := events.Firsts(t.Context(), []chat.Event{{Stream: "room", Source: source, ID: id}})
	if err != nil {
		return 0, err
	}
	return all[0], nil
}
