package connector

import (
	"sync"
	"time"

	"knatter.dev/chat"
)

const (
	signalEvery   = 2 * time.Second // of one user in one room, at most
	signalledMost = 1000            // rooms of a user that have had one within that time
)

// signal passes a signal of the client's on. It is not acknowledged, and who is over the
// rate hears nothing of it.
func (s *session) signal(e chat.Event) {
	by := s.author(e.Room)
	err := s.c.publisher.stamp(&e, by.user)
	if err == nil {
		err = s.c.publisher.permit(s.c.ctx, &e, by)
	}
	if err == nil {
		err = s.c.publisher.rules.check(s.c.ctx, &e, by)
	}
	if err != nil {
		s.refuse(e.ID, err)
		return
	}
	if s.share.signals.allow(e.Room, s.c.elapsed()) {
		s.c.signals.Signal(s.c.ctx, &e)
	}
}

// throttle lets one signal through of each room within signalEvery.
type throttle struct {
	mu   sync.Mutex
	last map[chat.RoomID]time.Duration
}

func (t *throttle) allow(room chat.RoomID, now time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.last[room]; ok && now-last < signalEvery {
		return false
	}
	if len(t.last) >= signalledMost {
		for room, last := range t.last {
			if now-last >= signalEvery {
				delete(t.last, room)
			}
		}
		if len(t.last) >= signalledMost {
			return false
		}
	}
	if t.last == nil {
		t.last = make(map[chat.RoomID]time.Duration)
	}
	t.last[room] = now
	return true
}
