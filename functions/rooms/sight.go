package rooms

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
	"knatter.dev/chat/internal/view"
)

// sight is what the stores have, with what persist has yet to store folded over it.
type sight struct {
	rooms    projection.Rooms
	events   chat.EventStore
	tails    chat.Tails // nil if they could not be read
	complete bool       // all that was acknowledged before is seen
}

// lookAgain is how long the log is left alone when its tails could not be read: it is
// away, or persist is far behind, and looking would only add to that.
const lookAgain = time.Second

// look reads the tails of the log. The stores are read afterwards, so that nothing
// falls between. If the tails cannot be read there are the stores alone: a list that
// lacks the latest is better than none, and says so.
func (f *Function) look(ctx context.Context) sight {
	s := sight{rooms: f.rooms, events: f.events}
	if failed := f.failed.Load(); failed != nil && time.Since(*failed) < lookAgain {
		return s
	}
	tails, err := f.log.Tails(ctx)
	if err != nil {
		if ctx.Err() == nil {
			now := time.Now()
			f.failed.Store(&now)
			slog.WarnContext(ctx, "rooms are shown without what is not stored yet", slog.Any("error", err))
		}
		return s
	}
	s.rooms, s.tails, s.complete = projection.Rooms{States: projection.Over(f.rooms.States, tails.Of)}, tails, true
	return s
}

// mark says in an answer that it may lack the latest.
func (s *sight) mark(w http.ResponseWriter) {
	if !s.complete {
		w.Header().Set("Knatter-Complete", "false")
	}
}

// fresh are the events of a room's tail that count, oldest first. Whatever comes before
// the first of them, the store has.
func (s *sight) fresh(ctx context.Context, room chat.RoomID) ([]chat.Event, error) {
	if s.tails == nil {
		return nil, nil
	}
	var firsts projection.Firsts
	firsts.Add(s.tails.Of(room.Stream()))
	events := firsts.Events()
	if len(events) == 0 {
		return nil, nil
	}
	stored, err := s.events.Firsts(ctx, events)
	if err != nil {
		return nil, fmt.Errorf("looking for events' firsts: %w", err)
	}
	fresh := events[:0]
	for i, e := range events {
		if stored[i] == 0 || stored[i] >= e.Sequence {
			fresh = append(fresh, e)
		}
	}
	return fresh, nil
}

// entry is a room as a member sees it.
func (s *sight) entry(ctx context.Context, room chat.Room, self chat.Membership) (entry, error) {
	e := entry{latest: room.Created}
	e.Room = view.RoomOf(room, self)
	fresh, err := s.fresh(ctx, room.ID)
	if err != nil {
		return e, err
	}
	stored := chat.Range{Limit: 1, Newest: true}
	if len(fresh) > 0 {
		stored.Before = fresh[0].Sequence // from there on the store may have gaps
		e.Sequence = fresh[len(fresh)-1].Sequence
	} else {
		events, _, err := s.events.Events(ctx, room.ID, stored)
		if err != nil {
			return e, fmt.Errorf("reading a room's last event: %w", err)
		}
		if len(events) > 0 {
			e.Sequence = events[0].Sequence
		}
	}
	if e.Unread, err = s.unread(ctx, self, fresh, stored.Before); err != nil {
		return e, err
	}
	if room.Kind == chat.Direct {
		if e.Name, err = s.other(ctx, room.ID, self.User); err != nil {
			return e, err
		}
	}
	last, err := s.last(ctx, room.ID, fresh, stored)
	if err != nil || last == nil {
		return e, err
	}
	sender, err := membership(ctx, s.rooms, room.ID, last.User())
	if err != nil {
		return e, err
	}
	e.latest = last.Time
	if m, ok := view.MessageOf(last, sender.Nickname); ok {
		e.LastMessage = &m
	}
	return e, nil
}

// unread counts what a member has to read. Nobody has to read what was said before
// they joined.
func (s *sight) unread(ctx context.Context, self chat.Membership, fresh []chat.Event, before chat.Sequence) (int, error) {
	read := max(self.Read, self.Since)
	n := 0
	if before == 0 || read+1 < before {
		var err error
		r := chat.Range{After: read, Before: before, Limit: maxUnread}
		if s.tails != nil {
			r.Settled = s.tails.Begin(self.Room.Stream())
		}
		n, err = s.events.Unread(ctx, self.Room, self.User, r)
		if err != nil {
			return 0, fmt.Errorf("counting unread messages: %w", err)
		}
	}
	for i := range fresh {
		if e := &fresh[i]; e.Type == chat.MessagePosted && e.Sequence > read && e.User() != self.User {
			n++
		}
	}
	return min(n, maxUnread), nil
}

// last is a room's last message, nil if there is none.
func (s *sight) last(ctx context.Context, room chat.RoomID, fresh []chat.Event, stored chat.Range) (*chat.Event, error) {
	for i := len(fresh) - 1; i >= 0; i-- {
		if fresh[i].Type == chat.MessagePosted {
			return &fresh[i], nil
		}
	}
	messages, _, err := s.events.Messages(ctx, room, stored)
	if err != nil {
		return nil, fmt.Errorf("reading a room's last message: %w", err)
	}
	if len(messages) == 0 {
		return nil, nil
	}
	return &messages[0], nil
}

// other is the nickname of the other one in a direct room.
func (s *sight) other(ctx context.Context, room chat.RoomID, user chat.UserID) (string, error) {
	both, err := s.rooms.Members(ctx, room)
	if err != nil {
		return "", fmt.Errorf("listing members: %w", err)
	}
	for _, m := range both {
		if m.User != user {
			return m.Nickname, nil
		}
	}
	return "", nil
}
