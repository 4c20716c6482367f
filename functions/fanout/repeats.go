package fanout

import (
	"context"
	"sync"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/recent"
)

// remembered is how many events' identities are kept in memory: at 5,000 a second
// those of the last half minute, which is long after persist has stored them.
const remembered = 1 << 17

// repeats finds events that were logged before with the same source and id. Some
// receivers have not seen the first one, so they cannot drop the second, whose text
// may be another: history has the first alone.
//
// The store knows what persist has stored, the memory what has come since. What
// neither knows is a repeat within persist's lag whose first was handled by
// another replica of the function, or before a restart.
type repeats struct {
	events chat.EventStore

	mu    sync.Mutex
	first *recent.Memory[chat.Sequence] // by stream, source and id
}

func newRepeats(events chat.EventStore) *repeats {
	return &repeats{events: events, first: recent.New[chat.Sequence](remembered)}
}

// among reports for each of the events whether it repeats an earlier one. The store
// is asked about those that wanted reports true for. Errors: the store's.
func (r *repeats) among(ctx context.Context, events []chat.Event, wanted func(*chat.Event) bool) ([]bool, error) {
	found := make([]bool, len(events))
	var unknown []chat.Event
	var at []int // of the unknown ones in events
	r.mu.Lock()
	for i := range events {
		e := &events[i]
		if !e.Kept() {
			continue
		}
		if found[i] = r.remember(e) < e.Sequence; !found[i] && wanted(e) {
			unknown, at = append(unknown, *e), append(at, i)
		}
	}
	r.mu.Unlock()
	firsts, err := r.events.Firsts(ctx, unknown)
	if err != nil {
		return nil, err
	}
	for i, first := range firsts {
		found[at[i]] = first != 0 && first < unknown[i].Sequence
	}
	return found, nil
}

// remember returns the lowest sequence with which an event of the same stream, source
// and id was seen. The caller holds r.mu.
func (r *repeats) remember(e *chat.Event) chat.Sequence {
	key := r.first.Key(string(e.Stream), e.Source, e.ID)
	if first, ok := r.first.Get(key); ok && first <= e.Sequence {
		return first
	}
	r.first.Set(key, e.Sequence)
	return e.Sequence
}
