package client

import "knatter.dev/chat"

// seenEvents is how many events a Conn remembers. An event that was sent again after a
// lost connection follows its first copy within moments.
const seenEvents = 4096

// sent identifies an event that is sent again.
type sent struct {
	room       chat.RoomID
	source, id string
}

// seen remembers the last events that were passed on, so that an event that its sender
// sent again is not passed on twice.
type seen struct {
	known map[sent]chat.Sequence
	ring  []sent
	next  int
}

// resent reports whether e was passed on before under a lower sequence.
func (s *seen) resent(e *chat.Event) bool {
	first, ok := s.known[sent{e.Room, e.Source, e.ID}]
	return ok && first < e.Sequence
}

func (s *seen) add(e *chat.Event) {
	k := sent{e.Room, e.Source, e.ID}
	if _, ok := s.known[k]; ok {
		return
	}
	if s.known == nil {
		s.known = make(map[sent]chat.Sequence)
	}
	if len(s.ring) < seenEvents {
		s.ring = append(s.ring, k)
	} else {
		delete(s.known, s.ring[s.next])
		s.ring[s.next] = k
		s.next = (s.next + 1) % seenEvents
	}
	s.known[k] = e.Sequence
}
