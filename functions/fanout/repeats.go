package fanout

import (
	"context"
	"hash/maphash"
	"sync"

	"knatter.dev/chat"
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
	seed   [2]maphash.Seed

	mu   sync.Mutex
	at   map[identity]chat.Sequence
	ring []identity // the remembered ones, as they came
	next int        // in the ring
}

// identity stands for stream, source and id.
type identity [2]uint64

func newRepeats(events chat.EventStore) *repeats {
	return &repeats{
		events: events,
		seed:   [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		at:     make(map[identity]chat.Sequence),
	}
}

func (r *repeats) identity(e *chat.Event) (id identity) {
	for i, seed := range r.seed {
		var h maphash.Hash
		h.SetSeed(seed)
		for _, part := range [...]string{string(e.Stream), e.Source, e.ID} {
			_, _ = h.WriteString(part)
			_ = h.WriteByte(0) // no part has one
		}
		id[i] = h.Sum64()
	}
	return id
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
		if found[i] = r.remember(r.identity(e), e.Sequence) < e.Sequence; !found[i] && wanted(e) {
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

// remember returns the lowest sequence that an identity was seen with. It is
// called with r.mu held.
func (r *repeats) remember(id identity, s chat.Sequence) chat.Sequence {
	if first, ok := r.at[id]; ok {
		first = min(first, s)
		r.at[id] = first
		return first
	}
	if len(r.ring) < remembered {
		r.ring = append(r.ring, id)
	} else {
		delete(r.at, r.ring[r.next])
		r.ring[r.next] = id
		r.next = (r.next + 1) % remembered
	}
	r.at[id] = s
	return s
}
