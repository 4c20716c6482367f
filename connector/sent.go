package connector

import (
	"hash/maphash"
	"sync"

	"knatter.dev/chat"
)

// sentEvents is how many of the events that clients have sent a connector knows
// again: at 5,000 a second those of the last 13 s, in 5 MB.
const sentEvents = 1 << 16

// sent knows the events that clients sent lately, so that one that is sent again is
// answered without a second record in the log, and an id that is used for something
// else is refused. An older one, or one that came by another connector, is logged
// again: fan-out and stores drop it.
type sent struct {
	seed [2]maphash.Seed

	mu   sync.Mutex
	at   map[sentKey]sentEvent
	ring []sentKey // the known ones, as they came
	next int       // in the ring
}

// sentKey stands for sender, room and id.
type sentKey [2]uint64

type sentEvent struct {
	content  uint64        // stands for the type, extensions and data
	sequence chat.Sequence // 0 until it is acknowledged
}

func newSent() *sent {
	return &sent{
		seed: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		at:   make(map[sentKey]sentEvent),
	}
}

func (s *sent) key(user chat.UserID, e *chat.Event) (key sentKey) {
	for i, seed := range s.seed {
		key[i] = hash(seed, string(user), string(e.Room), e.ID)
	}
	return key
}

// content is a hash of what an event says. The data is in canonical form, see
// [chat.CheckSent].
func (s *sent) content(e *chat.Event) uint64 {
	content := hash(s.seed[0], string(e.Type), string(e.Data))
	for name, value := range e.Extensions { // in any order
		content += hash(s.seed[1], name, value)
	}
	return content
}

func hash(seed maphash.Seed, parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, part := range parts {
		_, _ = h.WriteString(part)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// known returns the sequence under which the same event was acknowledged; 0 when
// that is not known. Errors: Conflict when its id was used for something else.
func (s *sent) known(user chat.UserID, e *chat.Event) (chat.Sequence, error) {
	key, content := s.key(user, e), s.content(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.at[key]
	if ok && before.content != content {
		return 0, errReused
	}
	return before.sequence, nil
}

var errReused = chat.Errorf(chat.Conflict, "this id was used for another event")

// note takes note of events that are about to be logged: all of them or, when an id
// was used for something else, none. Errors: Conflict.
func (s *sent) note(user chat.UserID, events ...*chat.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var added []sentKey
	for _, e := range events {
		key, content := s.key(user, e), s.content(e)
		if before, ok := s.at[key]; !ok {
			s.add(key, sentEvent{content: content})
			added = append(added, key)
		} else if before.content != content {
			for _, key := range added {
				delete(s.at, key)
			}
			return errReused
		}
	}
	return nil
}

// add is called with s.mu held.
func (s *sent) add(key sentKey, e sentEvent) {
	if len(s.ring) < sentEvents {
		s.ring = append(s.ring, key)
	} else {
		delete(s.at, s.ring[s.next])
		s.ring[s.next] = key
		s.next = (s.next + 1) % sentEvents
	}
	s.at[key] = e
}

// acked takes note of the sequence at which an event is acknowledged, and returns the
// lowest that the same event was acknowledged under.
func (s *sent) acked(user chat.UserID, e *chat.Event, at chat.Sequence) chat.Sequence {
	key := s.key(user, e)
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.at[key]
	if !ok {
		return at
	}
	if known.sequence == 0 || at < known.sequence {
		known.sequence = at
		s.at[key] = known
	}
	return known.sequence
}
