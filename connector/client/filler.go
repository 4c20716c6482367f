package client

import "knatter.dev/chat"

// pageEvents is the server's maximum size of a page of history.
const pageEvents = 200

// noticeLocked makes the filler report to the reader of Events that the server ended a
// subscription.
func (c *Conn) noticeLocked(room chat.RoomID) {
	c.notices = append(c.notices, room)
	select {
	case c.behind <- struct{}{}:
	default:
	}
}

// fill is the goroutine that reads from history what rooms lack. It waits for the
// reader of Events, and nobody waits for it.
func (c *Conn) fill() {
	wait := backoff{max: c.options.MaxBackoff}
	for {
		select {
		case <-c.behind:
		case <-c.ctx.Done():
			return
		}
		for c.tellNotices() {
			room, s := c.mostBehind()
			if s == nil {
				break
			}
			switch err := c.fillPage(room, s); {
			case err == nil:
				wait = backoff{max: c.options.MaxBackoff}
			case passing(err):
				if !wait.pause(c.ctx) {
					return
				}
			default:
				c.end(room, s)
			}
		}
	}
}

// tellNotices returns false if the Conn has ended.
func (c *Conn) tellNotices() bool {
	c.mu.Lock()
	notices := c.notices
	c.notices = nil
	c.mu.Unlock()
	for _, room := range notices {
		e, err := frame(chat.RoomUnsubscribed, map[string]chat.RoomID{"room": room})
		if err != nil {
			continue
		}
		e.Room = room
		if !c.passOn(&e) {
			return false
		}
	}
	return c.ctx.Err() == nil
}

func (c *Conn) passOn(e *chat.Event) bool {
	select {
	case c.events <- *e:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// mostBehind returns any room that is behind. The random order of maps gives each room
// a turn.
func (c *Conn) mostBehind() (chat.RoomID, *subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for room, s := range c.rooms {
		if s.behind > 0 {
			return room, s
		}
	}
	return "", nil
}

// fillPage passes on a page of a room's history, or makes the room live if it has
// caught up.
func (c *Conn) fillPage(room chat.RoomID, s *subscription) error {
	c.mu.Lock()
	after, upTo := s.last, s.behind
	c.mu.Unlock()
	token, err := c.tokens.Token(c.ctx, "")
	if err != nil {
		return err
	}
	page, err := c.client.events(c.ctx, token.Value, room, Page{After: after, FromStart: true, Limit: pageEvents})
	if err != nil {
		return err
	}
	for i := range page {
		e := &page[i]
		if e.Sequence > upTo {
			page = nil // the rest arrives live, or has been noted
			break
		}
		if pass, ok := c.advance(room, s, after, e); !ok {
			return nil
		} else if pass && !c.passOn(e) {
			return nil
		}
		after = e.Sequence
	}
	if len(page) == 0 {
		c.caughtUp(s, after, upTo)
	}
	return nil
}

// advance moves a room that is behind to the next event of its history. It reports
// whether the event is to be passed on, and whether the room is still where the filler
// left it: the Conn's owner may have moved or left it.
func (c *Conn) advance(room chat.RoomID, s *subscription, after chat.Sequence, e *chat.Event) (pass, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rooms[room] != s || s.behind == 0 || s.last != after {
		return false, false
	}
	s.last = e.Sequence
	if c.seen.resent(e) {
		c.stats.Resent++
		return false, true
	}
	c.seen.add(e)
	c.stats.Paged++
	return true, true
}

// caughtUp ends the requested part of history. Live events may have arrived meanwhile
// that need another part.
func (c *Conn) caughtUp(s *subscription, after, upTo chat.Sequence) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.last != after {
		return
	}
	s.last = max(s.last, upTo)
	if s.behind <= upTo {
		s.behind = 0
	}
}

// end ends a room whose history may not be read any longer.
func (c *Conn) end(room chat.RoomID, s *subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rooms[room] == s {
		delete(c.rooms, room)
		c.noticeLocked(room)
	}
}
