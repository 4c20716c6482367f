package connector

import (
	"cmp"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/hub"
)

const (
	parallelFollows = 8           // rooms of one session at once
	ownRetry        = time.Second // between tries to follow the user's own stream
)

// subscribeData is the data of room.subscribe and room.unsubscribe.
type subscribeData struct {
	Rooms []struct {
		Room  chat.RoomID    `json:"room"`
		After *chat.Sequence `json:"after,omitempty"`
	} `json:"rooms"`
	Room chat.RoomID `json:"room,omitempty"` // room.unsubscribe of one room, in short
	All  bool        `json:"all"`
}

// subscribedData is the data of room.subscribed.
type subscribedData struct {
	Room     chat.RoomID   `json:"room"`
	Sequence chat.Sequence `json:"sequence"`
	Complete bool          `json:"complete"`
}

func (s *session) subscribeFrame(e *chat.Event) {
	var data subscribeData
	err := e.Decode(&data)
	if err == nil && len(data.Rooms) == 0 && !data.All {
		err = chat.Errorf(chat.Invalid, `room.subscribe needs "rooms" or "all"`)
	}
	if err == nil && len(data.Rooms) > s.c.cfg.Subscriptions {
		err = chat.Errorf(chat.TooMany, "over %d subscriptions", s.c.cfg.Subscriptions)
	}
	for _, r := range data.Rooms {
		if !r.Room.Valid() {
			err = chat.Errorf(chat.Invalid, "rooms must have rooms' ids")
		}
	}
	if err != nil {
		s.refuse(e.ID, err)
		return
	}
	id := e.ID
	s.request(len(data.Rooms), func() { s.subscribe(id, &data) })
}

// subscribe follows rooms, several at once. It runs as a task.
func (s *session) subscribe(event string, data *subscribeData) {
	var g errgroup.Group
	g.SetLimit(parallelFollows)
	named := make(map[chat.RoomID]bool, len(data.Rooms))
	for _, r := range data.Rooms {
		if named[r.Room] {
			continue
		}
		named[r.Room] = true
		g.Go(func() error {
			s.guarded(func() {
				if err := s.follow(r.Room, r.After); err != nil {
					s.refuseRoom(event, r.Room, err)
				}
			})
			return nil
		})
	}
	if data.All {
		rooms, err := s.allRooms()
		if err != nil {
			s.refuse(event, err)
		}
		for _, m := range rooms {
			if named[m.Room] {
				continue
			}
			g.Go(func() error {
				s.guarded(func() {
					if err := s.follow(m.Room, nil); err != nil {
						s.refuseRoom(event, m.Room, err)
					}
				})
				return nil
			})
		}
	}
	_ = g.Wait() // each has told its own error
}

// allRooms returns the user's rooms. From then on rooms that the user joins are followed as
// their events come on the user's own stream, so that one must be followed before.
// Errors: Unavailable.
func (s *session) allRooms() ([]chat.Membership, error) {
	s.mu.Lock()
	user, followed := s.claims.User, s.own != nil
	s.all = s.all || followed
	s.mu.Unlock()
	if !followed {
		return nil, chat.Errorf(chat.Unavailable, "the user's own stream is not followed yet")
	}
	return s.c.rooms.RoomsOf(s.c.ctx, user)
}

// follow subscribes to one room: the events missed since after, then
// room.subscribed with the border, then live events. after is nil when nothing is
// to be repeated. Errors: Forbidden for a room that the user is not in, TooMany,
// Unavailable.
func (s *session) follow(room chat.RoomID, after *chat.Sequence) error {
	s.mu.Lock()
	user, sub := s.claims.User, s.subscription(room)
	count := len(s.rooms)
	s.mu.Unlock()
	if !sleep(reserve(s.c.shares.of(user).lookups, 1), s.done) {
		return nil
	}
	m, err := s.c.membership(s.c.ctx, room, user)
	if err != nil && chat.KindOf(err) != chat.NotFound {
		return chat.Errorf(chat.Unavailable, "membership: %w", err)
	}
	if err != nil || !m.Active {
		return chat.Errorf(chat.Forbidden, "not a member of the room")
	}
	switch {
	case sub != nil && after == nil:
		s.confirm(room, sub)
		return nil
	case sub != nil:
		s.unfollow(room)
	case count >= s.c.cfg.Subscriptions:
		return chat.Errorf(chat.TooMany, "over %d subscriptions", s.c.cfg.Subscriptions)
	}

	sub = newSubscription(s, true)
	border, err := s.c.hub.Subscribe(s.c.ctx, room.Stream(), &sub.Place)
	if err != nil {
		return err
	}
	if !s.addRoom(sub) {
		sub.Leave()
		return nil
	}
	complete := true
	switch {
	case after == nil:
	case *after < border:
		complete, err = s.replay(missing{room: room, user: user, after: *after, upTo: border})
	case *after > border:
		complete, err = s.c.reached(room, *after)
	}
	if err != nil {
		s.unfollow(room)
		return err
	}
	return s.golive(sub, subscribedData{Room: room, Sequence: border, Complete: complete})
}

// confirm answers a repeated subscription at its place among the live events.
func (s *session) confirm(room chat.RoomID, sub *subscription) {
	sub.Do(func(last chat.Sequence) {
		s.send(chat.RoomSubscribed, subscribedData{Room: room, Sequence: last, Complete: true})
	})
}

// golive ends a replay: room.subscribed, the live events that came meanwhile, and
// from then on what is delivered.
func (s *session) golive(sub *subscription, data subscribedData) error {
	frames, bytes := [][]byte{s.frame(chat.RoomSubscribed, data)}, int64(0)
	for {
		for _, f := range frames {
			if !s.out.PushWait(f, s.done) {
				return nil
			}
		}
		s.pending.Add(-bytes)
		var canceled bool
		sub.Do(func(chat.Sequence) {
			canceled = sub.canceled
			frames, bytes = sub.pending, sub.bytes
			sub.pending, sub.bytes = nil, 0
			sub.replay = len(frames) > 0
		})
		if canceled {
			return chat.Errorf(chat.Forbidden, "no longer a member of the room")
		}
		if len(frames) == 0 {
			return nil
		}
	}
}

// reached reports whether the log is as far as a client says that it is. An ack is
// sent before the event is delivered, so a client can be ahead of what was delivered
// here; one that is ahead of the log has seen what the log has lost since.
func (c *Connector) reached(room chat.RoomID, after chat.Sequence) (bool, error) {
	end, err := c.log.End(c.ctx, room.Stream())
	return after < end, err
}

func (s *session) unsubscribeFrame(e *chat.Event) {
	var data subscribeData
	if err := e.Decode(&data); err != nil {
		s.refuse(e.ID, err)
		return
	}
	rooms := make([]chat.RoomID, 0, 1+len(data.Rooms))
	if data.Room != "" {
		rooms = append(rooms, data.Room)
	}
	for _, r := range data.Rooms {
		rooms = append(rooms, r.Room)
	}
	if len(rooms) == 0 && !data.All {
		s.refuse(e.ID, chat.Errorf(chat.Invalid, `room.unsubscribe needs "rooms" or "all"`))
		return
	}
	s.request(len(rooms), func() {
		if data.All {
			s.mu.Lock()
			s.all = false
			for _, sub := range s.rooms {
				rooms = append(rooms, sub.Stream().Room())
			}
			s.mu.Unlock()
		}
		for _, room := range rooms {
			s.unfollow(room)
			s.send(chat.RoomUnsubscribed, map[string]any{"room": room})
		}
	})
}

func (s *session) unfollow(room chat.RoomID) {
	if sub := s.removeRoom(room); sub != nil {
		sub.Leave()
	}
}

// subscription is the one to a room, nil when there is none. It is called with
// s.mu held.
func (s *session) subscription(room chat.RoomID) *subscription {
	if i, ok := s.find(room); ok {
		return s.rooms[i]
	}
	return nil
}

// find returns where a room is among the subscriptions, or would be.
func (s *session) find(room chat.RoomID) (int, bool) {
	return slices.BinarySearchFunc(s.rooms, room, func(sub *subscription, room chat.RoomID) int { return cmp.Compare(sub.Stream().Room(), room) })
}

// addRoom notes a subscription; false when the session has ended.
func (s *session) addRoom(sub *subscription) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended() {
		return false
	}
	i, _ := s.find(sub.Stream().Room())
	s.rooms = slices.Insert(s.rooms, i, sub)
	return true
}

func (s *session) removeRoom(room chat.RoomID) *subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.find(room)
	if !ok {
		return nil
	}
	sub := s.rooms[i]
	s.rooms = slices.Delete(s.rooms, i, i+1)
	return sub
}

// followOwn follows the user's own stream. Its border also closes the gap in the
// check of the token: a revocation is in the store before it is in the stream.
func (s *session) followOwn() {
	s.mu.Lock()
	user := s.claims.User
	s.mu.Unlock()
	sub := newSubscription(s, false)
	_, err := s.c.hub.Subscribe(s.c.ctx, chat.StreamOf(user), &sub.Place)
	if err != nil {
		time.AfterFunc(ownRetry, func() { s.task(s.followOwn) })
		return
	}
	s.mu.Lock()
	claims, ended := s.claims, s.ended()
	if !ended {
		s.own = sub
	}
	s.mu.Unlock()
	if ended {
		sub.Leave()
		return
	}
	if err := s.c.verifier.CheckSession(s.c.ctx, claims); chat.KindOf(err) == chat.Unauthenticated && err != nil {
		s.close(CloseUnauthorized, "the session was revoked")
	}
}

// onOwn acts on an event of the user's own stream. It must not block.
func (s *session) onOwn(d *hub.Delivery) {
	if d.Type != chat.SessionRevoked && !d.Type.Member() {
		return
	}
	e, err := d.Event()
	if err != nil {
		s.c.logger.Error("own stream", "error", err)
		return
	}
	if d.Type.Member() {
		s.task(func() { s.review(e.Room) })
		return
	}
	var data chat.RevokedData
	if err := e.Decode(&data); err != nil {
		s.c.logger.Error("own stream", "error", err)
		return
	}
	s.mu.Lock()
	mine := data.Session == s.claims.Session
	s.mu.Unlock()
	if mine {
		s.close(CloseUnauthorized, "logged out")
	}
}

// review brings the session in line with the store after the user joined or left
// a room. The room's own stream may have said so before.
func (s *session) review(room chat.RoomID) {
	s.mu.Lock()
	user, all, sub := s.claims.User, s.all, s.subscription(room)
	s.mu.Unlock()
	m, err := s.c.membership(s.c.ctx, room, user)
	switch {
	case err != nil && chat.KindOf(err) != chat.NotFound:
		s.close(CloseDraining, "resume") // better to start anew than to guess
	case err != nil || !m.Active && sub != nil && sub.Passed(m.Sequence):
		s.unfollow(room)
	case !m.Active: // the room's own stream has yet to say so, and then ends it
	case all && sub == nil:
		after := m.Since - 1 // so that joining is the first that is seen
		switch err := s.follow(room, &after); {
		case chat.KindOf(err) == chat.Unavailable:
			s.close(CloseDraining, "resume") // the client asks for it again
		case chat.KindOf(err) == chat.TooMany:
			s.refused("", room, err)
		}
	}
}
