package rooms

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/pebble"
	"knatter.dev/chat/internal/pebble/pebbletest"
	"knatter.dev/chat/internal/projection"
)

// list is the answer to GET /v1/rooms, and whether it is complete.
func (p *person) list(f *Function) (body string, complete bool) {
	p.x.Helper()
	r := httptest.NewRequest(http.MethodGet, "/v1/rooms", nil)
	r.Header.Set("Authorization", "Bearer "+p.token)
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		p.x.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String(), w.Header().Get("Knatter-Complete") != "false"
}

// logs appends an event to the log, and nowhere else.
func (p *person) logs(id string, typ chat.Type, room string, data any) chat.Event {
	p.x.Helper()
	e, err := chat.NewEvent(id, p.id, typ, chat.RoomID(room), data)
	if err != nil {
		p.x.Fatal(err)
	}
	if err := p.x.log.Append(p.x.Context(), &e); err != nil {
		p.x.Fatal(err)
	}
	return e
}

func (x *fixture) stores(s *pebble.Store, events ...chat.Event) {
	x.Helper()
	if err := s.Events().Put(x.Context(), events); err != nil {
		x.Fatal(err)
	}
	if err := s.Rooms().Apply(x.Context(), events); err != nil {
		x.Fatal(err)
	}
}

// tail is what the log has of rooms.
func (x *fixture) tail(rooms ...string) (all []chat.Event) {
	x.Helper()
	for _, room := range rooms {
		events, err := x.log.Tail(x.Context(), chat.StreamID(room))
		if err != nil {
			x.Fatal(err)
		}
		all = append(all, events...)
	}
	return all
}

// commits makes persist done with everything before an event in its partition.
func (x *fixture) commits(before chat.Event) {
	x.Helper()
	kafkatest.Commit(x, x.config, chat.Persist.Group, 0, before.Sequence)
}

// What was acknowledged is in the list, although nothing of it is stored yet.
func TestListShowsWhatIsNotStoredYet(t *testing.T) {
	x := setUp(t)
	alice, bob := x.person("alice"), x.person("bob")
	room := alice.creates("first")
	bob.joins(room)
	want := func(what string, want ...any) {
		t.Helper()
		body, complete := alice.list(x.f)
		var got struct{ Rooms []object }
		if err := json.Unmarshal([]byte(body), &got); err != nil || len(got.Rooms) != 1 {
			t.Fatalf("%s: %s, %v", what, body, err)
		}
		r := got.Rooms[0]
		last, _ := r["lastMessage"].(object)
		equal(t, what, []any{r["name"], r["sequence"], r["read"], r["unread"], last["text"], last["nickname"], complete}, append(want, true))
		one := alice.does("GET", "/v1/rooms/"+room, nil, 200)
		equal(t, what+", alone", fmt.Sprint(one), fmt.Sprint(r))
	}
	hello := bob.logs("1", chat.MessagePosted, room, chat.Posted{Text: "hello"})
	want("a message", "first", hello.Sequence, "0000000000000000", 1, "hello", "bob")
	x.stores(x.store, hello)
	want("stored now", "first", hello.Sequence, "0000000000000000", 1, "hello", "bob")
	bob.logs("1", chat.MessagePosted, room, chat.Posted{Text: "hello"})
	want("sent again", "first", hello.Sequence, "0000000000000000", 1, "hello", "bob")
	mine := alice.logs("1", chat.MessagePosted, room, chat.Posted{Text: "my own"})
	want("one's own", "first", mine.Sequence, "0000000000000000", 1, "my own", "alice")
	read := alice.logs("2", chat.ReadAdvanced, room, chat.ReadData{UpTo: hello.Sequence})
	want("read", "first", read.Sequence, hello.Sequence, 0, "my own", "alice")
	renamed := alice.logs("3", chat.RoomUpdated, room, chat.RoomData{Name: "second"})
	want("renamed", "second", renamed.Sequence, hello.Sequence, 0, "my own", "alice")
	again := alice.logs("4", chat.MemberUpdated, room, chat.MemberData{User: alice.id, Nickname: "al", Changed: chat.ChangedNickname})
	want("a nickname", "second", again.Sequence, hello.Sequence, 0, "my own", "al")
	alice.logs("5", chat.MemberLeft, room, chat.MemberData{User: alice.id, Nickname: "al"})
	equal(t, "left", len(alice.rooms()), 0)
	alice.does("GET", "/v1/rooms/"+room, nil, 403)
}

type stored = projection.Events

// countingStore notes what is counted.
type countingStore struct {
	stored
	counted []chat.Range
}

func (s *countingStore) Unread(ctx context.Context, room chat.RoomID, user chat.UserID, r chat.Range) (int, error) {
	s.counted = append(s.counted, r)
	return s.stored.Unread(ctx, room, user, r)
}

// What is counted below persist's commit may be remembered, and nothing else.
func TestListSaysWhatIsSettled(t *testing.T) {
	x := setUp(t)
	alice, bob := x.person("alice"), x.person("bob")
	room := alice.creates("first")
	bob.joins(room)
	first := bob.logs("1", chat.MessagePosted, room, chat.Posted{Text: "one"})
	second := bob.logs("2", chat.MessagePosted, room, chat.Posted{Text: "two"})
	x.stores(x.store, first, second)
	x.commits(second)
	store := &countingStore{stored: x.f.events}
	x.f.events = store
	alice.list(x.f)
	if len(store.counted) != 1 || store.counted[0].Settled != second.Sequence {
		t.Errorf("counted %+v, persist has committed what is below %s", store.counted, second.Sequence)
	}
}

// Whatever persist has stored of the log, and in whatever order, the list is the one
// that there is when everything is stored.
func TestListIsTheSameWhateverIsStored(t *testing.T) {
	for seed := range uint64(6) {
		x := setUp(t)
		rnd := rand.New(rand.NewPCG(seed, 1))
		alice, bob := x.person("alice"), x.person("bob")
		rooms := []string{alice.creates("first"), alice.creates("second"), alice.creates("third")}
		for _, room := range rooms {
			bob.joins(room)
		}
		direct := alice.does("POST", "/v1/direct", object{"user": bob.id}, 201)["id"].(string)
		rooms = append(rooms, direct)
		reference := pebbletest.Memory(t)
		before := x.tail(rooms...)
		x.stores(reference, before...)
		x.stores(x.store, before...)
		whole := New(function.Deps{Stores: reference.Stores(), Log: kafkatest.Log(t, kafkatest.Start(t)), Verifier: x.f.verifier})

		var logged []chat.Event
		for i := range 80 {
			p := []*person{alice, bob}[rnd.IntN(2)]
			room := rooms[rnd.IntN(len(rooms))]
			id := fmt.Sprint(rnd.IntN(60))
			switch rnd.IntN(10) {
			case 0:
				logged = append(logged, p.logs("read"+id, chat.ReadAdvanced, room, chat.ReadData{UpTo: chat.Sequence(rnd.IntN(300) + 1)}))
			case 1:
				if room != direct {
					logged = append(logged, alice.logs("name"+id, chat.RoomUpdated, room, chat.RoomData{Name: fmt.Sprint("name ", i)}))
				}
			case 2:
				logged = append(logged, p.logs("nick"+id, chat.MemberUpdated, room, chat.MemberData{User: p.id, Nickname: fmt.Sprint("nick ", i), Changed: chat.ChangedNickname}))
			case 3:
				if room == rooms[0] && i > 60 {
					logged = append(logged, alice.logs("left", chat.MemberLeft, room, chat.MemberData{User: alice.id}))
				}
			default:
				logged = append(logged, p.logs(id, chat.MessagePosted, room, chat.Posted{Text: fmt.Sprint("text ", id)}))
			}
		}
		x.stores(reference, logged...)
		want, _ := alice.list(whole)
		for committed := 0; ; {
			for range 3 {
				if got, complete := alice.list(x.f); got != want || !complete {
					t.Fatalf("seed %d, persist at %d of %d, complete %t:\n got %s\nwant %s", seed, committed, len(logged), complete, got, want)
				}
				x.stores(x.store, logged[rnd.IntN(len(logged))]) // ahead of its commit
			}
			if committed == len(logged)-1 {
				break
			}
			next := min(committed+1+rnd.IntN(20), len(logged)-1)
			x.stores(x.store, logged[:next]...)
			x.commits(logged[next])
			committed = next
		}
	}
}

// Without the log there is still the list that the store has, and it says so.
func TestListWithoutTheLog(t *testing.T) {
	x := setUp(t)
	alice := x.person("alice")
	room := alice.creates("first")
	x.stores(x.store, x.tail(room)...)
	want, complete := alice.list(x.f)
	if !complete {
		t.Error("incomplete with a log")
	}
	x.log.Close()
	for i := range 3 {
		begun := time.Now()
		got, complete := alice.list(x.f)
		if got != want || complete {
			t.Errorf("complete %t, %s, want %s", complete, got, want)
		}
		if took := time.Since(begun); i > 0 && took > lookAgain/2 {
			t.Errorf("the log was asked again at once: %v", took)
		}
	}
}
