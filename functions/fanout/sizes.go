package fanout

import (
	"context"
	"sync"
	"time"

	"knatter.dev/chat"
)

const (
	sizesKept   = 1 << 16
	sizeHolds   = time.Minute     // while nobody comes or goes, as far as is known here
	sizeSettles = 5 * time.Second // after somebody came or went, which the store may learn later than we do
	sizeGuess   = time.Second     // how long a size holds until then
)

// sizes remember which rooms are so large that nobody sees how far the others have read. So
// a room's members are counted when one comes or goes, not for each read mark.
type sizes struct {
	rooms chat.RoomStore
	most  int // active members of rooms where that is seen

	mu sync.Mutex
	of map[chat.RoomID]size
}

type size struct {
	large   bool
	counted time.Time
	changed time.Time // when somebody came or went
}

func newSizes(rooms chat.RoomStore, most int) *sizes {
	return &sizes{rooms: rooms, most: most, of: make(map[chat.RoomID]size)}
}

// note takes note of who comes and goes.
func (s *sizes) note(events []chat.Event) {
	for i := range events {
		e := &events[i]
		if !e.Type.Member() || e.Stream.Own() {
			continue
		}
		s.mu.Lock()
		s.setLocked(e.Room, size{changed: time.Now()})
		s.mu.Unlock()
	}
}

// readers is who gets a read mark: its user, or "" for everybody. Errors: the store's.
func (s *sizes) readers(ctx context.Context, e *chat.Event) (only chat.UserID, err error) {
	s.mu.Lock()
	room := s.of[e.Room]
	s.mu.Unlock()
	holds := sizeHolds
	if room.counted.Sub(room.changed) < sizeSettles {
		holds = sizeGuess
	}
	if room.counted.IsZero() || time.Since(room.counted) >= holds {
		counted := time.Now()
		counts, err := s.rooms.Counts(ctx, []chat.RoomID{e.Room})
		if err != nil {
			return "", err
		}
		room.large, room.counted = counts[e.Room] > s.most, counted
		s.keep(e.Room, room)
	}
	if room.large {
		return e.User(), nil
	}
	return "", nil
}

// keep keeps a size, unless somebody came or went while it was counted.
func (s *sizes) keep(room chat.RoomID, of size) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.of[room].changed.After(of.changed) {
		s.setLocked(room, of)
	}
}

func (s *sizes) setLocked(room chat.RoomID, of size) {
	if len(s.of) >= sizesKept {
		clear(s.of)
	}
	s.of[room] = of
}
