package rooms

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/messages"
	"knatter.dev/chat/internal/projection"
	"knatter.dev/chat/internal/view"
)

// sight is what the stores have, with what persist has yet to store folded over it.
type sight struct {
	rooms    projection.Rooms
	events   projection.Events
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

// entry is a room as a member sees it, who is one of so many.
func (s *sight) entry(ctx context.Context, room chat.Room, self chat.Membership, members int) (entry, error) {
	e := entry{latest: room.Created}
	e.Room = view.RoomOf(room, self)
	e.Members = members
	look, err := s.look(ctx, room.ID, self.User)
	if err != nil {
		return e, err
	}
	fresh := look.Fresh
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
	if e.Unread, e.Mentions, err = s.unread(ctx, look, self, stored.Before); err != nil {
		return e, err
	}
	if room.Kind == chat.Direct {
		if e.Peer, err = s.other(ctx, room.ID, self.User); err != nil {
			return e, err
		}
		if e.Peer != nil {
			e.Name = e.Peer.Nickname
		}
	}
	last, err := s.last(ctx, room.ID, fresh, stored)
	if err != nil || last == nil {
		return e, err
	}
	e.latest = last.Time
	shown, err := look.Views(ctx, []chat.Event{*last})
	if err == nil && len(shown) > 0 {
		e.LastMessage = &shown[0]
	}
	return e, err
}

// look is a user's look at a room's messages. Whatever comes before the first of its fresh
// events, the store has.
func (s *sight) look(ctx context.Context, room chat.RoomID, user chat.UserID) (*messages.Look, error) {
	l := &messages.Look{Events: s.events, Rooms: s.rooms, Room: room, User: user}
	if s.tails == nil {
		return l, nil
	}
	var err error
	l.Fresh, err = messages.Fresh(ctx, s.events, s.tails.Of(room.Stream()))
	return l, err
}

// unread counts what a member has to read, and in how much of it the member is mentioned.
// Nobody has to read what was said before they joined. Before a sequence the store has all,
// but for what fresh events say of it: those messages are looked at one by one.
func (s *sight) unread(ctx context.Context, look *messages.Look, self chat.Membership, before chat.Sequence) (unread, mentions int, err error) {
	read := max(self.Read, self.Since)
	var touched, fresh []chat.Sequence
	for i := range look.Fresh {
		e := &look.Fresh[i]
		switch {
		case e.Type == chat.MessagePosted && e.Sequence > read:
			fresh = append(fresh, e.Sequence)
		case e.Type == chat.MessageEdited, e.Type == chat.MessageDeleted:
			if at := e.About(); at > read && (before == 0 || at < before) && !slices.Contains(touched, at) {
				touched = append(touched, at)
			}
		}
	}
	if before == 0 || read+1 < before {
		r := chat.Range{After: read, Before: before, Limit: maxUnread, Except: touched}
		if s.tails != nil {
			r.Settled = s.tails.Begin(self.Room.Stream())
		}
		if unread, err = s.events.Unread(ctx, self.Room, self.User, r); err != nil {
			return 0, 0, fmt.Errorf("counting unread messages: %w", err)
		}
		if unread > 0 {
			if mentions, err = s.events.Mentions(ctx, self.Room, self.User, r); err != nil {
				return 0, 0, fmt.Errorf("counting mentions: %w", err)
			}
		}
	}
	posted, err := look.At(ctx, append(touched, fresh...))
	if err != nil {
		return 0, 0, err
	}
	shown, err := look.Plain(ctx, posted)
	if err != nil {
		return 0, 0, err
	}
	for _, m := range shown {
		if m.User == self.User || m.Deleted {
			continue
		}
		unread++
		if slices.Contains(m.Mentions, self.User) || slices.Contains(m.Mentions, chat.Everyone) {
			mentions++
		}
	}
	return min(unread, maxUnread), min(mentions, maxUnread), nil
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

// other is the other one of a direct room, also after leaving it.
func (s *sight) other(ctx context.Context, room chat.RoomID, user chat.UserID) (*view.User, error) {
	both, err := s.rooms.Members(ctx, room)
	if err != nil {
		return nil, fmt.Errorf("listing members: %w", err)
	}
	for _, m := range both {
		if m.User != user {
			return &view.User{ID: m.User, Nickname: m.Nickname}, nil
		}
	}
	return nil, nil
}
