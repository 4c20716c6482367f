package mongo

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/mongo/mongotest"
)

// What was counted is not counted again: each count looks at what has come and at what
// was read since, however much is unread.
func TestUnreadDoesNotCostItsSize(t *testing.T) {
	opts, database, err := parse(mongotest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var asked []bson.Raw // the conditions of what was counted
	opts.SetMonitor(&event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		mu.Lock()
		defer mu.Unlock()
		if match, err := e.Command.LookupErr("pipeline", "0", "$match"); err == nil {
			asked = append(asked, append(bson.Raw(nil), match.Document()...))
		}
	}})
	s, err := open(t.Context(), opts, database)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	var last chat.Sequence
	posts := func(n int) {
		t.Helper()
		batch := make([]chat.Event, n)
		for i := range batch {
			last++
			batch[i] = message(t, "room", fmt.Sprint(last), last)
		}
		if err := s.Events().Put(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	// counts asks for all that bob has not read, and returns how many messages lie in the
	// ranges that the server had to look through.
	counts := func(read chat.Sequence, want int) (looked int) {
		t.Helper()
		mu.Lock()
		asked = nil
		mu.Unlock()
		n, err := s.Events().Unread(t.Context(), "room", "bob", chat.Range{After: read, Settled: last + 1, Limit: 2000})
		if err != nil || n != want {
			t.Fatalf("%d unread, %v, want %d", n, err, want)
		}
		mu.Lock()
		ranges := asked
		mu.Unlock()
		for _, r := range ranges {
			n, err := s.events.all.CountDocuments(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			looked += int(n)
		}
		return looked
	}

	posts(1500)
	if looked := counts(0, 1500); looked == 0 {
		t.Fatal("nothing was counted")
	}
	for _, c := range []struct {
		name     string
		posted   int
		read     chat.Sequence
		want     int
		examined int // at most
	}{
		{"the same again", 0, 0, 1500, 0},
		{"some more", 10, 0, 1510, 10},
		{"many more", 200, 0, 1710, 2 * 210}, // counted, and counted to be remembered
		{"and again", 0, 0, 1710, 0},
		{"some are read", 0, 20, 1690, 20},
		{"and again", 0, 20, 1690, 0},
		{"more than the limit", 500, 20, 2000, 2 * 500},
		{"and again", 0, 20, 2000, 0},
		{"up to the limit", 0, 120, 2000, 100 + 2*190},
		{"nearly all are read", 0, 2200, 10, 2210},
		{"and again", 0, 2200, 10, 64},
	} {
		posts(c.posted)
		if looked := counts(c.read, c.want); looked > c.examined {
			t.Errorf("%s: %d messages looked through, at most %d expected", c.name, looked, c.examined)
		}
	}
}
