package connector

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/hub"
	"knatter.dev/chat/internal/wait"
)

const (
	parallelFollows = 8           // rooms of one session at once
	ownRetry        = time.Second // between tries to follow the user's own stream
)

// subscriptions are what one session follows: rooms, and its user's own stream. What a
// client asks for is done one after the other, beside the session's reader.
type subscriptions struct {
	s *session

	mu    sync.Mutex
	all   bool            // follows every room of the user
	own   *subscription   // to the user's own stream
	rooms []*subscription // by room
	tasks tasks
}

// follows reports whether the session follows a room.
func (f *subscriptions) follows(room chat.RoomID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.subscription(room) != nil
}

// end ends all of them. The session must have ended before.
func (f *subscriptions) end() {
	f.mu.Lock()
	subs := f.rooms
	if f.own != nil {
		subs = append(subs, f.own)
	}
	f.rooms, f.own = nil, nil
	f.mu.Unlock()
	for _, sub := range subs {
		sub.Leave()
	}
}

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

func (f *subscriptions) subscribeFrame(e *chat.Event) {
	var data subscribeData
	err := e.Decode(&data)
	if err == nil && len(data.Rooms) == 0 && !data.All {
		err = chat.Errorf(chat.Invalid, `room.subscribe needs "rooms" or "all"`)
	}
	if err == nil && len(data.Rooms) > f.s.c.cfg.Subscriptions {
		err = chat.Errorf(chat.TooMany, "over %d subscriptions", f.s.c.cfg.Subscriptions)
	}
	for _, r := range data.Rooms {
		if !r.Room.Valid() {
			err = chat.Errorf(chat.Invalid, "rooms must have rooms' ids")
		}
	}
	if err != nil {
		f.s.refuse(e.ID, err)
		return
	}
	id := e.ID
	f.request(len(data.Rooms), func() { f.subscribe(id, &data) })
}

// subscribe follows rooms, several at once. It runs as a task.
func (f *subscriptions) subscribe(event string, data *subscribeData) {
	var g errgroup.Group
	g.SetLimit(parallelFollows)
	named := make(map[chat.RoomID]bool, len(data.Rooms))
	follow := func(room chat.RoomID, after *chat.Sequence) {
		if named[room] {
			return
		}
		named[room] = true
		g.Go(func() error {
			f.s.guarded(func() {
				if err := f.follow(room, after); err != nil {
					f.s.refuseRoom(event, room, err)
				}
			})
			return nil
		})
	}
	for _, r := range data.Rooms {
		follow(r.Room, r.After)
	}
	if data.All {
		rooms, err := f.allRooms()
		if err != nil {
			f.s.refuse(event, err)
		}
		for _, m := range rooms {
			follow(m.Room, nil)
		}
	}
	_ = g.Wait() // each has told its own error
}

// allRooms returns the user's rooms. From then on rooms that the user joins are followed as
// their events come on the user's own stream, so that one must be followed before.
// Errors: Unavailable.
func (f *subscriptions) allRooms() ([]chat.Membership, error) {
	f.mu.Lock()
	followed := f.own != nil
	f.all = f.all || followed
	f.mu.Unlock()
	if !followed {
		return nil, chat.Errorf(chat.Unavailable, "the user's own stream is not followed yet")
	}
	return f.s.c.members.RoomsOf(f.s.c.ctx, f.s.user())
}

// follow subscribes to one room: the events missed since after, then
// room.subscribed with the border, then live events. after is nil when nothing is
// to be repeated. Errors: Forbidden for a room that the user is not in, TooMany,
// Unavailable.
func (f *subscriptions) follow(room chat.RoomID, after *chat.Sequence) error {
	user := f.s.user()
	f.mu.Lock()
	sub := f.subscription(room)
	count := len(f.rooms)
	f.mu.Unlock()
	if !wait.For(reserve(f.s.c.shares.of(user).lookups, 1), f.s.done) {
		return nil
	}
	m, err := f.s.c.members.Membership(f.s.c.ctx, room, user)
	if err != nil && chat.KindOf(err) != chat.NotFound {
		return chat.Errorf(chat.Unavailable, "membership: %w", err)
	}
	if err != nil || !m.Active {
		return chat.Errorf(chat.Forbidden, "not a member of the room")
	}
	switch {
	case sub != nil && after == nil:
		f.confirm(room, sub)
		return nil
	case sub != nil:
		f.unfollow(room)
	case count >= f.s.c.cfg.Subscriptions:
		return chat.Errorf(chat.TooMany, "over %d subscriptions", f.s.c.cfg.Subscriptions)
	}

	sub = newSubscription(f.s, true)
	border, err := f.s.c.hub.Subscribe(f.s.c.ctx, room.Stream(), &sub.Place)
	if err != nil {
		return err
	}
	if !f.addRoom(sub) {
		sub.Leave()
		return nil
	}
	complete := true
	switch {
	case after == nil:
	case *after < border:
		complete, err = f.replay(missing{room: room, user: user, after: *after, upTo: border})
	case *after > border:
		complete, err = f.reached(room, *after)
	}
	if err != nil {
		f.unfollow(room)
		return err
	}
	return f.golive(sub, subscribedData{Room: room, Sequence: border, Complete: complete})
}

// confirm answers a repeated subscription at its place among the live events.
func (f *subscriptions) confirm(room chat.RoomID, sub *subscription) {
	sub.Do(func(last chat.Sequence) {
		f.s.send(chat.RoomSubscribed, subscribedData{Room: room, Sequence: last, Complete: true})
	})
}

// golive ends a replay: room.subscribed, the live events that came meanwhile, and
// from then on what is delivered.
func (f *subscriptions) golive(sub *subscription, data subscribedData) error {
	frames, bytes := [][]byte{f.s.frame(chat.RoomSubscribed, data)}, int64(0)
	for {
		for _, frame := range frames {
			if !f.s.out.PushWait(frame, f.s.done) {
				return nil
			}
		}
		f.s.pending.Add(-bytes)
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
func (f *subscriptions) reached(room chat.RoomID, after chat.Sequence) (bool, error) {
	end, err := f.s.c.log.End(f.s.c.ctx, room.Stream())
	return after < end, err
}

func (f *subscriptions) unsubscribeFrame(e *chat.Event) {
	var data subscribeData
	if err := e.Decode(&data); err != nil {
		f.s.refuse(e.ID, err)
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
		f.s.refuse(e.ID, chat.Errorf(chat.Invalid, `room.unsubscribe needs "rooms" or "all"`))
		return
	}
	f.request(len(rooms), func() {
		if data.All {
			f.mu.Lock()
			f.all = false
			for _, sub := range f.rooms {
				rooms = append(rooms, sub.Stream().Room())
			}
			f.mu.Unlock()
		}
		for _, room := range rooms {
			f.unfollow(room)
			f.s.send(chat.RoomUnsubscribed, map[string]any{"room": room})
		}
	})
}

func (f *subscriptions) unfollow(room chat.RoomID) {
	if sub := f.removeRoom(room); sub != nil {
		sub.Leave()
	}
}

// subscription is the one to a room, nil when there is none. It is called with
// f.mu held.
func (f *subscriptions) subscription(room chat.RoomID) *subscription {
	if i, ok := f.find(room); ok {
		return f.rooms[i]
	}
	return nil
}

// find returns where a room is among the subscriptions, or would be.
func (f *subscriptions) find(room chat.RoomID) (int, bool) {
	return slices.BinarySearchFunc(f.rooms, room, func(sub *subscription, room chat.RoomID) int { return cmp.Compare(sub.Stream().Room(), room) })
}

// addRoom notes a subscription; false when the session has ended.
func (f *subscriptions) addRoom(sub *subscription) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.s.ended() {
		return false
	}
	i, _ := f.find(sub.Stream().Room())
	f.rooms = slices.Insert(f.rooms, i, sub)
	return true
}

func (f *subscriptions) removeRoom(room chat.RoomID) *subscription {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, ok := f.find(room)
	if !ok {
		return nil
	}
	sub := f.rooms[i]
	f.rooms = slices.Delete(f.rooms, i, i+1)
	return sub
}

// followOwn follows the user's own stream. Its border also closes the gap in the
// check of the token: a revocation is in the store before it is in the stream.
func (f *subscriptions) followOwn() {
	sub := newSubscription(f.s, false)
	_, err := f.s.c.hub.Subscribe(f.s.c.ctx, chat.StreamOf(f.s.user()), &sub.Place)
	if err != nil {
		time.AfterFunc(ownRetry, func() { f.task(f.followOwn) })
		return
	}
	f.mu.Lock()
	ended := f.s.ended()
	if !ended {
		f.own = sub
	}
	f.mu.Unlock()
	if ended {
		sub.Leave()
		return
	}
	if err := f.s.c.verifier.CheckSession(f.s.c.ctx, f.s.identity()); chat.KindOf(err) == chat.Unauthenticated && err != nil {
		f.s.close(CloseUnauthorized, "the session was revoked")
	}
}

// onOwn acts on an event of the user's own stream. It must not block.
func (f *subscriptions) onOwn(d *hub.Delivery) {
	if d.Type != chat.SessionRevoked && !d.Type.Member() {
		return
	}
	e, err := d.Event()
	if err != nil {
		f.s.c.logger.Error("own stream", "error", err)
		return
	}
	if d.Type == chat.MemberPreferred {
		f.preferred(e)
		return
	}
	if d.Type.Member() {
		f.s.c.publisher.rules.changed(e.Room, f.s.user())
		f.task(func() { f.review(e.Room) })
		return
	}
	var data chat.RevokedData
	if err := e.Decode(&data); err != nil {
		f.s.c.logger.Error("own stream", "error", err)
		return
	}
	if data.Session == f.s.identity().Session {
		f.s.close(CloseUnauthorized, "logged out")
	}
}

// preferred tells the client that the user has changed settings of a room, perhaps by
// another session.
func (f *subscriptions) preferred(e *chat.Event) {
	var data chat.MemberData
	if err := e.Decode(&data); err != nil {
		f.s.c.logger.Error("own stream", "error", err)
		return
	}
	frame, err := chat.NewEvent(f.s.frameID(), "", chat.RoomPreferred, e.Room, preferredData{Notify: data.Notify, Favorite: data.Favorite})
	if err != nil {
		f.s.c.logger.Error("own frame", "error", err)
		return
	}
	frame.Source, frame.Stream = f.s.c.source, ""
	f.s.sendFrame(&frame)
}

// preferredData is the data of room.preferred: what has changed.
type preferredData struct {
	Notify   chat.Notify `json:"notify,omitempty"`
	Favorite *bool       `json:"favorite,omitempty"`
}

// review brings the session in line with the store after the user joined or left
// a room. The room's own stream may have said so before.
func (f *subscriptions) review(room chat.RoomID) {
	f.mu.Lock()
	all, sub := f.all, f.subscription(room)
	f.mu.Unlock()
	m, err := f.s.c.members.Membership(f.s.c.ctx, room, f.s.user())
	switch {
	case err != nil && chat.KindOf(err) != chat.NotFound:
		f.s.close(CloseDraining, "resume") // better to start anew than to guess
	case err != nil || !m.Active && sub != nil && sub.Passed(m.Sequence):
		f.unfollow(room)
	case !m.Active: // the room's own stream has yet to say so, and then ends it
	case all && sub == nil:
		after := m.Since - 1 // so that joining is the first that is seen
		switch err := f.follow(room, &after); {
		case chat.KindOf(err) == chat.Unavailable:
			f.s.close(CloseDraining, "resume") // the client asks for it again
		case chat.KindOf(err) == chat.TooMany:
			f.s.refused("", room, err)
		}
	}
}
