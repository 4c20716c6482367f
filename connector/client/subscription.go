package client

import (
	"context"
	"slices"
	"time"

	"knatter.dev/chat"
)

// subscription is the state of one room in a Conn.
//
// While it is live, the link's reader passes events on to the Conn's channel. If the
// channel is full, or the server says that it does not repeat everything that was
// missed, the room falls behind: the reader then only notes how far the room has come,
// and the filler reads from history up to there. Only the filler ever waits for the
// Conn's reader.
type subscription struct {
	last    chat.Sequence // events up to this one were passed on
	known   bool          // last says where to resume; otherwise the room begins now
	behind  chat.Sequence // the filler has to read up to this one; 0 while live
	frame   string        // id of the last subscribe frame
	waiting []chan error  // calls that wait for room.subscribed
}

// retrySubscribing is the longest pause before subscribing again to a room that was
// temporarily refused.
const retrySubscribing = 2 * time.Second

// roomAfter is one room of a room.subscribe frame.
type roomAfter struct {
	Room  chat.RoomID    `json:"room"`
	After *chat.Sequence `json:"after,omitempty"`
}

type subscribeData struct {
	Rooms []roomAfter `json:"rooms,omitempty"`
	All   bool        `json:"all,omitempty"`
}

// Subscribe subscribes to a room from now on, or from where it is if the Conn is
// already subscribed. It returns when the server has confirmed it. Errors: Forbidden if
// the user is not in the room, Invalid.
func (c *Conn) Subscribe(ctx context.Context, room chat.RoomID) error {
	return c.subscribe(ctx, room, nil)
}

// SubscribeAfter subscribes to a room from the event after a sequence on, as remembered
// from before; 0 means from the room's beginning. If the Conn is already subscribed,
// the room goes back to there. Errors: as [Conn.Subscribe].
func (c *Conn) SubscribeAfter(ctx context.Context, room chat.RoomID, after chat.Sequence) error {
	return c.subscribe(ctx, room, &after)
}

func (c *Conn) subscribe(ctx context.Context, room chat.RoomID, after *chat.Sequence) error {
	if !room.Valid() {
		return chat.Errorf(chat.Invalid, "%q is not a room's id", room)
	}
	done := make(chan error, 1)
	c.mu.Lock()
	s := c.addLocked(room)
	switch {
	case after == nil:
	case !s.known:
		s.last, s.known = *after, true
	case *after < s.last: // live events may be in transit: history fills up to them
		was := s.last
		s.last = *after
		c.fallBehindLocked(s, was)
	}
	s.waiting = append(s.waiting, done)
	l, f := c.link, c.subscribeFrameLocked(false, room)
	c.mu.Unlock()
	if l != nil {
		l.write(f)
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return context.Cause(c.ctx)
	}
}

// SubscribeAll subscribes to every room of the user from now on, also those joined
// later, in addition to the rooms that were subscribed individually.
func (c *Conn) SubscribeAll() {
	c.mu.Lock()
	c.all = true
	clear(c.left)
	l, f := c.link, c.subscribeFrameLocked(true)
	c.mu.Unlock()
	if l != nil {
		l.write(f)
	}
}

// Unsubscribe ends a subscription. Events in the buffer remain.
func (c *Conn) Unsubscribe(room chat.RoomID) {
	f, err := frame(chat.RoomUnsubscribe, subscribeData{Rooms: []roomAfter{{Room: room}}})
	if err != nil {
		return // a struct of strings always marshals
	}
	c.mu.Lock()
	delete(c.rooms, room)
	if c.all {
		c.left[room] = true
	}
	l := c.link
	c.mu.Unlock()
	if l != nil {
		l.write(f.AppendFrame(nil))
	}
}

func (c *Conn) addLocked(room chat.RoomID) *subscription {
	s := c.rooms[room]
	if s == nil {
		s = new(subscription)
		c.rooms[room] = s
	}
	delete(c.left, room)
	return s
}

// findLocked returns the room's subscription. With all rooms subscribed, it creates one
// for a room that the server mentions first.
func (c *Conn) findLocked(room chat.RoomID) *subscription {
	if s := c.rooms[room]; s != nil || !c.all || c.left[room] {
		return s
	}
	return c.addLocked(room)
}

// subscribeFrameLocked returns a frame that subscribes to the rooms, each from where it
// is.
func (c *Conn) subscribeFrameLocked(all bool, rooms ...chat.RoomID) []byte {
	data := subscribeData{All: all}
	for _, room := range rooms {
		r := roomAfter{Room: room}
		if s := c.rooms[room]; s.known {
			after := max(s.last, s.behind) // the filler reads up to there
			r.After = &after
		}
		data.Rooms = append(data.Rooms, r)
	}
	f, err := frame(chat.RoomSubscribe, data)
	if err != nil {
		return nil // a struct of strings always marshals
	}
	for _, room := range rooms {
		c.rooms[room].frame = f.ID
	}
	if all {
		c.allFrame = f.ID
	}
	return f.AppendFrame(nil)
}

// resubscribeLocked returns the frames for a new link.
func (c *Conn) resubscribeLocked() [][]byte {
	if len(c.rooms) == 0 && !c.all {
		return nil
	}
	rooms := make([]chat.RoomID, 0, len(c.rooms))
	for room := range c.rooms {
		rooms = append(rooms, room)
	}
	return [][]byte{c.subscribeFrameLocked(c.all, rooms...)}
}

// subscribed handles room.subscribed.
func (c *Conn) subscribed(e *chat.Event) {
	var data struct {
		Room     chat.RoomID   `json:"room"`
		Sequence chat.Sequence `json:"sequence"`
		Complete bool          `json:"complete"`
	}
	if e.Decode(&data) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.findLocked(data.Room)
	if s == nil {
		return
	}
	if !data.Complete && s.known && data.Sequence < max(s.last, s.behind) {
		// The server has lost what we have seen, and says so: everything that it has is
		// new.
		s.last, s.behind = 0, 0
	}
	if s.behind > 0 || !data.Complete && s.known {
		c.fallBehindLocked(s, data.Sequence)
	} else {
		s.last = max(s.last, data.Sequence)
	}
	s.known = true
	for _, done := range s.waiting {
		done <- nil
	}
	s.waiting = nil
}

// take passes an event on. It never blocks.
func (c *Conn) take(e *chat.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Sequence == 0 { // a signal
		select {
		case c.events <- *e:
		default:
		}
		return
	}
	s := c.findLocked(e.Room)
	switch {
	case s == nil:
	case e.Sequence <= s.last:
		c.stats.Repeated++
	case s.behind > 0:
		c.fallBehindLocked(s, e.Sequence)
	case c.seen.resent(e):
		c.stats.Resent++
		s.last, s.known = e.Sequence, true
	default:
		select {
		case c.events <- *e:
			c.seen.add(e)
			s.last, s.known = e.Sequence, true
		default:
			c.fallBehindLocked(s, e.Sequence)
		}
	}
}

func (c *Conn) fallBehindLocked(s *subscription, upTo chat.Sequence) {
	s.behind, s.known = max(s.behind, upTo), true
	select {
	case c.behind <- struct{}{}:
	default:
	}
}

// refused handles an error frame, for an event that was sent or for subscriptions.
func (c *Conn) refused(e *chat.Event) {
	r := refusal(e)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settleLocked(r.event, answer{err: r.err})
	var again []chat.RoomID
	for room, s := range c.rooms {
		switch {
		case s.frame != r.event || r.room != "" && r.room != room:
		case passing(r.err):
			again = append(again, room)
		default:
			delete(c.rooms, room)
			if len(s.waiting) == 0 {
				c.noticeLocked(room)
			}
			for _, done := range s.waiting {
				done <- r.err
			}
		}
	}
	if all := c.allFrame == r.event; passing(r.err) && (all || len(again) > 0) {
		c.retryLocked(all, again)
	}
}

// retryLocked subscribes again after a while, unless there is another link by then.
func (c *Conn) retryLocked(all bool, rooms []chat.RoomID) {
	if all {
		c.allFrame = "" // one retry serves all rooms that were refused
	}
	l := c.link
	time.AfterFunc(jitter(retrySubscribing), func() {
		c.mu.Lock()
		rooms = slices.DeleteFunc(rooms, func(room chat.RoomID) bool { return c.rooms[room] == nil })
		all = all && c.all
		if l == nil || l != c.link || !all && len(rooms) == 0 {
			c.mu.Unlock()
			return
		}
		f := c.subscribeFrameLocked(all, rooms...)
		c.mu.Unlock()
		l.write(f)
	})
}
