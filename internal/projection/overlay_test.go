package projection_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/pebble/pebbletest"
	"knatter.dev/chat/internal/projection"
)

// Whatever the store has of the tail, what is seen over it is what a store has that
// has everything.
func TestOver(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		log := projection.RandomLog(t, rnd, 1+rnd.IntN(40))
		committed := rnd.IntN(len(log) + 1)
		part, whole := stored(t, log[:committed]...), stored(t, log...)
		for i := committed; i < len(log); i++ {
			if rnd.IntN(2) == 0 {
				apply(t, part, log[i])
			}
		}
		over := projection.Rooms{States: projection.Over(part.States, func(room chat.StreamID) []chat.Event {
			if room != "room" {
				return nil
			}
			return log[committed:]
		})}
		if got, want := seen(t, over), seen(t, whole); got != want {
			t.Fatalf("seed %d, %d of %d committed:\n got %s\nwant %s", seed, committed, len(log), got, want)
		}
		// Over users the store decides what is found, and the tail what it is.
		for _, user := range []chat.UserID{"alice", "bob"} {
			for _, find := range []func(chat.RoomStore) func(context.Context, chat.UserID) ([]chat.Membership, error){
				func(s chat.RoomStore) func(context.Context, chat.UserID) ([]chat.Membership, error) { return s.RoomsOf },
				func(s chat.RoomStore) func(context.Context, chat.UserID) ([]chat.Membership, error) {
					return s.Invitations
				},
			} {
				before, err := find(part)(t.Context(), user)
				if err != nil {
					t.Fatal(err)
				}
				want, err := find(whole)(t.Context(), user)
				if err != nil {
					t.Fatal(err)
				}
				if len(before) == 0 {
					want = nil
				}
				if got, err := find(over)(t.Context(), user); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("seed %d, %s: got %v, %v; want %v", seed, user, got, err, want)
				}
			}
		}
	}
}

func stored(t *testing.T, events ...chat.Event) projection.Rooms {
	t.Helper()
	s := pebbletest.Memory(t)
	apply(t, s.Rooms(), events...)
	return s.Rooms()
}

func apply(t *testing.T, s chat.RoomStore, events ...chat.Event) {
	t.Helper()
	if err := s.Apply(t.Context(), events); err != nil {
		t.Fatal(err)
	}
}

// seen is what a store says about the room and who is or was in it.
func seen(t *testing.T, s chat.RoomStore) string {
	t.Helper()
	room, err := s.Room(t.Context(), "room")
	all := fmt.Sprint(room, err)
	for _, user := range []chat.UserID{"alice", "bob", "carol"} {
		m, err := s.Membership(t.Context(), "room", user)
		all += fmt.Sprint("\n", m, err)
	}
	members, err := s.Members(t.Context(), "room")
	all += fmt.Sprint("\n", members, err)
	counts, err := s.Counts(t.Context(), []chat.RoomID{"room"})
	return all + fmt.Sprint("\n", counts["room"], err)
}
