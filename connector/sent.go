package connector

import (
	"sync"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/recent"
)

// sentEvents is how many of the events that clients have sent a connector recognizes:
// at 5,000 a second those of the last 13 s, in 5 MB.
const sentEvents = 1 << 16

// sent remembers the events that clients have sent lately. An event that is sent again
// is then answered without a second record in the log, and an id that was used for
// another event is refused. An event that is older, or came through another connector,
// is logged again: fan-out and stores drop it.
type sent struct {
	mu     sync.Mutex
	events *recent.Memory[sentEvent] // by sender, room and id
}

type sentEvent struct {
	content  uint64        // stands for the type, extensions and data
	sequence chat.Sequence // 0 until it is acknowledged
}

func newSent() *sent { return &sent{events: recent.New[sentEvent](sentEvents)} }

func (s *sent) key(user chat.UserID, e *chat.Event) recent.Key {
	return s.events.Key(string(user), string(e.Room), e.ID)
}

// content returns a hash of what an event says. The data is in canonical form; see
// [chat.CheckSent].
func (s *sent) content(e *chat.Event) uint64 {
	content := s.events.Hash(string(e.Type), string(e.Data))
	for name, value := range e.Extensions { // in any order
		content += s.events.Hash("", name, value)
	}
	return content
}

// known returns the sequence under which the same event was acknowledged, or 0 if that
// is not known. Errors: Conflict if its id was used for another event.
func (s *sent) known(user chat.UserID, e *chat.Event) (chat.Sequence, error) {
	key, content := s.key(user, e), s.content(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.events.Get(key)
	if ok && before.content != content {
		return 0, errReused
	}
	return before.sequence, nil
}

var errReused = chat.Errorf(chat.Conflict, "this id was used for another event")

// note remembers events that are about to be logged: all of them or, if an id was used
// for another event, none. Errors: Conflict.
func (s *sent) note(user chat.UserID, events ...*chat.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := make(map[recent.Key]uint64)
	for _, e := range events {
		key, content := s.key(user, e), s.content(e)
		before, ok := fresh[key]
		if known, noted := s.events.Get(key); noted {
			before, ok = known.content, true
		}
		if ok && before != content {
			return errReused
		}
		if !ok {
			fresh[key] = content
		}
	}
	for key, content := range fresh {
		s.events.Set(key, sentEvent{content: content})
	}
	return nil
}

// acked remembers the sequence at which an event was acknowledged, and returns the lowest
// one under which the same event was acknowledged.
func (s *sent) acked(user chat.UserID, e *chat.Event, at chat.Sequence) chat.Sequence {
	key := s.key(user, e)
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.events.Get(key)
	if !ok {
		return at
	}
	if known.sequence == 0 || at < known.sequence {
		known.sequence = at
		s.events.Set(key, known)
	}
	return known.sequence
}
