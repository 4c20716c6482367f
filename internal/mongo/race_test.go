package mongo

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/mongo/mongotest"
)

// Processes that handle the same log at the same time, each in an order of its own
// and more than once, leave what one of them leaves that handles it in order.
func TestRacingProcesses(t *testing.T) {
	const processes, rooms, length = 4, 3, 300
	rnd := rand.New(rand.NewPCG(1, 1))
	room := func() chat.RoomID { return chat.RoomID(fmt.Sprint("room-", rnd.IntN(rooms))) }
	user := func() chat.UserID { return chat.UserID(fmt.Sprint("user-", rnd.IntN(4))) }
	var log []chat.Event
	var docs []chat.Document
	var changes []chat.RouteChange
	for seq := chat.Sequence(1); seq <= length; seq++ {
		id := fmt.Sprint(rnd.IntN(length / 2)) // many are resent
		switch rnd.IntN(5) {
		case 0:
			log = append(log, logged(t, chat.RoomUpdated, room(), id, seq, chat.RoomData{Name: fmt.Sprint("name ", seq)}))
		case 1:
			log = append(log, logged(t, chat.ReadAdvanced, room(), id, seq, chat.ReadData{UpTo: 1 + chat.Sequence(rnd.IntN(length))}))
		case 2, 3:
			types := []chat.Type{chat.MemberJoined, chat.MemberLeft, chat.MemberUpdated}
			log = append(log, logged(t, types[rnd.IntN(len(types))], room(), id, seq, chat.MemberData{User: user(), Nickname: fmt.Sprint("nick ", seq), Role: chat.Plain}))
		default:
			e := message(t, room(), id, seq)
			log = append(log, e)
			docs = append(docs, documentOf(e, "a", fmt.Sprint("b", seq)))
		}
		changes = append(changes, chat.RouteChange{Stream: room().Stream(), Connector: rnd.IntN(3), Open: rnd.IntN(2) == 0, Sequence: seq})
	}
	handle := func(s *Store, seed uint64) {
		shuffle := func(n int, swap func(i, j int)) {}
		if seed > 0 {
			shuffle = rand.New(rand.NewPCG(seed, seed)).Shuffle
		}
		ctx := context.WithoutCancel(t.Context())
		log, docs, changes := slices.Clone(log), slices.Clone(docs), slices.Clone(changes)
		shuffle(len(log), func(i, j int) { log[i], log[j] = log[j], log[i] })
		shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
		shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
		for batch := range slices.Chunk(log, 7) {
			if err := cmp.Or(s.Events().Put(ctx, batch), s.Rooms().Apply(ctx, batch)); err != nil {
				t.Error(err)
			}
		}
		for batch := range slices.Chunk(docs, 7) {
			if err := s.Index().Put(ctx, batch); err != nil {
				t.Error(err)
			}
		}
		for batch := range slices.Chunk(changes, 7) {
			if err := s.Routes().Apply(ctx, batch); err != nil {
				t.Error(err)
			}
		}
	}
	state := func(s *Store) (lines []string) {
		add := func(v any, err error) {
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("%+v", v))
		}
		for i := range rooms {
			room := chat.RoomID(fmt.Sprint("room-", i))
			events, _, err := s.Events().Events(t.Context(), room, chat.Range{Limit: 2 * length})
			for _, e := range events {
				add(fmt.Sprint(e.Type, e.ID, e.Sequence, string(e.Data)), err)
			}
			r, err := s.Rooms().Room(t.Context(), room)
			add(r, err)
			members, err := s.Rooms().Members(t.Context(), room)
			add(members, err)
			connectors, err := s.Routes().Connectors(t.Context(), []chat.StreamID{room.Stream()})
			add(connectors, err)
		}
		add("index", s.Index().Dump(t.Context(), func(room chat.RoomID, term string, h chat.Hit) error {
			lines = append(lines, fmt.Sprint(room, term, h.Sequence))
			return nil
		}))
		return lines
	}

	one := fresh(t)
	handle(one, 0)
	want := state(one)

	url := mongotest.Database(t)
	var wg sync.WaitGroup
	for i := range processes {
		s := connect(t, url)
		wg.Go(func() {
			handle(s, uint64(i+1))
			handle(s, uint64(i+1+processes))
		})
	}
	wg.Wait()
	got := state(connect(t, url))
	if !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("got %d lines, want %d; line %d\n got %s\nwant %s", len(got), len(want), i, got[i], want[i])
			}
		}
		t.Fatalf("got %d lines, want %d", len(got), len(want))
	}
}

// Of processes that rotate the same hash or take the same address one succeeds.
func TestRacingForOne(t *testing.T) {
	url := mongotest.Database(t)
	stores := make([]*Store, 4)
	for i := range stores {
		stores[i] = connect(t, url)
	}
	ctx := t.Context()
	for round := range 20 {
		session := chat.Session{ID: fmt.Sprint("s", round), User: "alice", Refresh: "old", Created: chat.Now(), Expires: chat.Now().Add(1 << 40)}
		if err := stores[0].Sessions().Open(ctx, session); err != nil {
			t.Fatal(err)
		}
		var created, rotated, counted [4]bool
		var wg sync.WaitGroup
		for i, s := range stores {
			wg.Go(func() {
				err := s.Accounts().Create(ctx, chat.Account{ID: chat.UserID(fmt.Sprint("user-", round, "-", i)), Email: fmt.Sprint(round)})
				created[i] = err == nil
				if err != nil && chat.KindOf(err) != chat.Conflict {
					t.Error(err)
				}
				_, err = s.Sessions().Rotate(ctx, session.ID, "old", fmt.Sprint("new ", i), session.Created, session.Expires)
				rotated[i] = err == nil
				if err != nil && chat.KindOf(err) != chat.Forbidden && chat.KindOf(err) != chat.Unauthenticated {
					t.Error(err)
				}
				n, err := s.Attempts().Attempt(ctx, session.ID, 1<<40, session.Created)
				if err != nil {
					t.Error(err)
					return
				}
				counted[n-1] = true
			})
		}
		wg.Wait()
		count := func(b [4]bool) (n int) {
			for _, is := range b {
				if is {
					n++
				}
			}
			return n
		}
		got, err := stores[0].Sessions().Session(ctx, session.ID)
		if err != nil {
			t.Fatal(err)
		}
		if count(created) != 1 || count(rotated) != 1 || got.Revoked || count(counted) != 4 {
			t.Errorf("%d created, %d rotated, revoked %v, counted %v", count(created), count(rotated), got.Revoked, counted)
		}
	}
}
