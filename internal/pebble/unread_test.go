package pebble

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"knatter.dev/chat"
)

func posted(room chat.RoomID, user chat.UserID, id string, at chat.Sequence) chat.Event {
	return chat.Event{
		ID: id, Source: chat.SourceOf(user), Type: chat.MessagePosted, Room: room, Stream: room.Stream(), Sequence: at,
		Time: chat.Now(), Data: []byte(`{"text":"hi"}`),
	}
}

// What was counted once is not read again, wherever one begins.
func TestUnreadDoesNotCostItsSize(t *testing.T) {
	s, err := OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e := s.events
	const messages = 5000
	var all []chat.Event
	for i := range messages {
		user := chat.UserID([]string{"alice", "bob", "carol"}[i%3])
		all = append(all, posted("room", user, fmt.Sprint(i), chat.Sequence(10*i+10)))
	}
	if err := e.Put(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		after chat.Sequence
		want  int
		most  int // rows
	}{{0, 3333, messages}, {0, 3333, blockMessages}, {20_005, 2000, 2 * blockMessages}, {25_555, 1630, 2 * blockMessages}, {49_990, 7, blockMessages}} {
		want := 0
		for j := range all {
			if all[j].Sequence > c.after && all[j].User() != "alice" {
				want++
			}
		}
		n, read, err := e.unread(t.Context(), "room", "alice", chat.Range{After: c.after, Limit: 9999})
		if err != nil || n != want || read > c.most {
			t.Errorf("%d: %d unread after %d, want %d; %d rows read, want at most %d; %v", i, n, c.after, want, read, c.most, err)
		}
	}
	if n, _, _ := e.unread(t.Context(), "room", "alice", chat.Range{Limit: 1000}); n != 1000 {
		t.Errorf("over the limit: %d", n)
	}
}

// Messages that come late, or again, are counted as they are stored, while others
// count.
func TestUnreadIsExact(t *testing.T) {
	s, err := OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e := s.events
	stop := make(chan struct{})
	var counting sync.WaitGroup
	for range 2 {
		counting.Go(func() {
			rnd := rand.New(rand.NewPCG(1, 2))
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := e.Unread(t.Context(), "room", "alice", chat.Range{After: chat.Sequence(rnd.IntN(4000)), Limit: 9999}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	stored := make(map[string]chat.Event)
	for range 200 {
		var batch []chat.Event
		for range 30 {
			id := fmt.Sprint(rnd.IntN(3000))
			user := chat.UserID([]string{"alice", "bob", "carol"}[len(id)%3])
			at := chat.Sequence(rnd.IntN(1_000_000) + 1)
			if known, again := stored[id]; again && rnd.IntN(2) == 0 {
				at = max(known.Sequence-chat.Sequence(rnd.IntN(100)), 1)
			}
			taken := false
			for _, other := range stored {
				taken = taken || other.Sequence == at
			}
			if taken {
				continue
			}
			m := posted("room", user, id, at)
			batch = append(batch, m)
			if known, again := stored[id]; !again || at < known.Sequence {
				stored[id] = m
			}
		}
		if err := e.Put(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		r := chat.Range{After: chat.Sequence(rnd.IntN(1_000_000)), Limit: 9999}
		if rnd.IntN(2) == 0 {
			r.Before = r.After + chat.Sequence(rnd.IntN(500_000)) + 1
		}
		want := 0
		for _, m := range stored {
			if m.Sequence > r.After && (r.Before == 0 || m.Sequence < r.Before) && m.User() != "bob" {
				want++
			}
		}
		if n, err := e.Unread(t.Context(), "room", "bob", r); err != nil || n != want {
			t.Fatalf("%d unread, want %d; %v", n, want, err)
		}
	}
	close(stop)
	counting.Wait()
}
