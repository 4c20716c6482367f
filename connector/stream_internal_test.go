package connector

import (
	"context"
	"testing"

	"knatter.dev/chat"
)

// slowLog acknowledges when it is told to.
type slowLog struct {
	Log
	next  chat.Sequence
	acks  chan func()
	types []chat.Type
}

func (l *slowLog) AppendAsync(_ context.Context, e *chat.Event, done func(error)) {
	l.next++
	sequence := l.next
	l.types = append(l.types, e.Type)
	l.acks <- func() {
		e.Sequence = sequence
		done(nil)
	}
}

// A delivery can overtake the ack of the route.opened that asked for it: whoever waits
// for the ack has that event before the border, and so in the history.
func TestDeliveryBeforeItsRouteIsKnownToBeOpen(t *testing.T) {
	log := &slowLog{acks: make(chan func(), 1)}
	c, err := New(Config{}, Parts{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	c.hub.begin()
	borders := make(chan chat.Sequence, 1)
	go func() {
		_, border, err := c.hub.subscribe(t.Context(), "r", &subscription{session: new(session)})
		if err != nil {
			t.Error(err)
		}
		borders <- border
	}()
	ack := <-log.acks
	st := c.hub.stream("r")
	for waits := false; !waits; {
		st.mu.Lock()
		waits = st.waiting > 0
		st.mu.Unlock()
	}
	c.hub.deliver(&chat.Delivery{Stream: "r", Sequence: 2, Type: chat.MessagePosted})
	ack()
	if border := <-borders; border != 2 {
		t.Errorf("the border is %d, and event 2 was delivered before", border)
	}
	if len(log.types) != 1 {
		t.Errorf("logged %v, want one route.opened", log.types)
	}
}

// While the log is away a user's own stream cannot be followed: a subscription to all rooms
// would miss those that are joined until it can.
func TestAllRoomsNeedTheOwnStream(t *testing.T) {
	s := &session{c: new(Connector)}
	if _, err := s.allRooms(); chat.KindOf(err) != chat.Unavailable || s.all {
		t.Errorf("got %v", err)
	}
}
