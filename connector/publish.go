package connector

import (
	"encoding/json"
	"time"

	"knatter.dev/chat"
)

// ackData is the data of an ack, and one of the acks of POST /v1/events.
type ackData struct {
	Event    string        `json:"event"`
	Sequence chat.Sequence `json:"sequence"`
}

// publish logs a room event and answers when it is acknowledged.
func (s *session) publish(e chat.Event) {
	by := s.author(e.Room)
	user := by.user
	if err := s.c.publisher.prepare(s.c.ctx, &e, by); err != nil {
		s.refuse(e.ID, err)
		return
	}
	said := e // an event that is sent again is compared with what was said
	if err := s.check(&e, by); err != nil {
		s.c.publisher.rules.slow.release(user, &said)
		s.refuse(e.ID, err)
		return
	}
	if e.Sequence != 0 {
		s.acknowledge(e.ID, e.Sequence)
		return
	}
	if s.c.draining.Load() {
		s.c.publisher.rules.slow.release(user, &e)
		s.refused(e.ID, "", chat.Errorf(chat.Unavailable, "draining"))
		return
	}
	s.pause(s.c.shares.room(e.Room, len(e.Data)))
	if err := s.c.publisher.sent.note(user, &said); err != nil {
		s.c.publisher.rules.slow.release(user, &e)
		s.refuse(e.ID, err)
		return
	}
	var start time.Time
	logging := func() {
		s.appending()
		start = time.Now()
	}
	logged := func(at chat.Sequence, err error) {
		if err != nil {
			s.refused(e.ID, "", err)
		} else {
			s.c.metrics.acked.Observe(time.Since(start).Seconds())
			s.acknowledge(said.ID, s.c.publisher.sent.acked(user, &said, at))
		}
		s.answered()
	}
	if e.Type == chat.ReadAdvanced {
		s.c.publisher.marks.add(&e, markAnswer{logging, logged})
		return
	}
	logging()
	s.c.log.AppendAsync(s.c.ctx, &e, func(err error) { logged(e.Sequence, err) })
}

// author is the session's user as the sender of what is about a room.
func (s *session) author(room chat.RoomID) author {
	follows := s.subs.follows(room)
	s.mu.Lock()
	defer s.mu.Unlock()
	return author{user: s.claims.User, token: s.token, member: follows}
}

// check has an event checked that refers to something in its room. The reader waits for
// it, so that a session's events are logged in their order.
func (s *session) check(e *chat.Event, by author) error {
	if e.Sequence != 0 || !e.Refers() {
		return nil
	}
	s.waits.Store(true)
	defer s.resume()
	return s.c.publisher.checker.check(s.c.ctx, by.token, e)
}

// acknowledge sends an ack. There is one for every event, so its data is put
// together here rather than by reflection.
func (s *session) acknowledge(event string, at chat.Sequence) {
	id, err := json.Marshal(event)
	if err != nil {
		s.c.logger.Error("own frame", "type", chat.Ack.Short(), "error", err)
		return
	}
	data := make([]byte, 0, len(id)+48)
	data = append(append(data, `{"event":`...), id...)
	data = append(append(data, `,"sequence":"`...), at.String()...)
	s.sendFrame(&chat.Event{ID: s.frameID(), Source: s.c.source, Type: chat.Ack, Time: chat.Now(), Data: append(data, `"}`...)})
}
