package connector

import (
	"knatter.dev/chat"
	"knatter.dev/chat/connector/hub"
	"knatter.dev/chat/connector/socket"
)

// maxPending bounds the live frames that wait for a replay to end; a session's queue
// also bounds their bytes.
const maxPending = 8192

// subscription is one session's to a stream: what is delivered goes into the session's
// queue, or waits while a replay is under way. The fields below session are guarded by
// the stream, see [hub.Place.Do].
type subscription struct {
	hub.Place
	session  *session
	replay   bool     // history is still being sent: live frames wait in pending
	pending  [][]byte //
	bytes    int64    // of those
	canceled bool     // ended; a replay that is under way stops
}

var _ hub.Subscriber = (*subscription)(nil)

func newSubscription(s *session, replay bool) *subscription {
	sub := &subscription{session: s, replay: replay}
	sub.Place = hub.PlaceOf(sub, s.user())
	return sub
}

// Take implements [hub.Subscriber]. A user who left, or was removed, gets nothing behind
// the event that says so.
func (sub *subscription) Take(d *hub.Delivery) (more bool) {
	if d.Stream.Own() {
		sub.session.subs.onOwn(d)
		return true
	}
	if d.Finished == nil {
		d.Finished = socket.Frame(socket.Text, d.Frame)
	}
	if d.Type.Signal() {
		sub.signal(d)
		return true
	}
	sub.pass(d.Finished)
	return !sub.departs(d)
}

// pass hands a frame on, behind what is still being replayed.
func (sub *subscription) pass(frame []byte) {
	s := sub.session
	if !sub.replay {
		if !s.out.Push(frame) {
			s.close(CloseTooSlow, "too slow")
		}
		return
	}
	n := int64(len(frame))
	if len(sub.pending) >= maxPending || s.pending.Add(n) > int64(s.c.cfg.QueueBytes) {
		s.close(CloseTooSlow, "too slow")
		return
	}
	sub.pending = append(sub.pending, frame)
	sub.bytes += n
}

// signal hands a signal on, but to its sender's own sessions, and not behind what waits:
// it is of use only now.
func (sub *subscription) signal(d *hub.Delivery) {
	s := sub.session
	e, err := d.Event()
	if err != nil {
		s.c.logger.Error("signal", "error", err)
		return
	}
	if sub.replay || e.Source == chat.SourceOf(s.user()) {
		return
	}
	if !s.out.Offer(d.Finished) {
		s.c.metrics.dropped.Inc()
	}
}

// departs reports whether the event is of the session's own user's departure, of which it
// takes note then.
func (sub *subscription) departs(d *hub.Delivery) bool {
	s := sub.session
	user, err := d.Departed()
	if err != nil {
		s.c.logger.Error("member event", "error", err)
	}
	if user == "" || user != s.user() {
		return false
	}
	room := d.Stream.Room()
	s.c.members.departed.note(room, user, d.Sequence)
	s.subs.removeRoom(room)
	return true
}

// Left implements [hub.Subscriber].
func (sub *subscription) Left() {
	sub.session.pending.Add(-sub.bytes)
	sub.canceled, sub.pending, sub.bytes = true, nil, 0
}
