package rooms

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/view"
)

// entry is a room, and when something was last said in it or, where nothing was, when
// it was made.
type entry struct {
	view.Room
	latest time.Time
}

// list is the caller's rooms, latest first. Sequences of different rooms have no
// order, so it is by time.
func (f *Function) list(w http.ResponseWriter, r *http.Request) error {
	claims, err := f.verifier.Request(r)
	if err != nil {
		return err
	}
	memberships, err := f.rooms.RoomsOf(r.Context(), claims.User)
	if err != nil {
		return fmt.Errorf("listing a user's rooms: %w", err)
	}
	ids := make([]chat.RoomID, len(memberships))
	for i, m := range memberships {
		ids[i] = m.Room
	}
	owned, err := f.rooms.Owned(r.Context(), ids)
	if err != nil {
		return fmt.Errorf("looking for owners: %w", err)
	}
	entries := make([]entry, len(memberships))
	err = f.reads.Each(r.Context(), len(memberships), func(ctx context.Context, i int) error {
		m := memberships[i]
		room, err := f.rooms.Room(ctx, m.Room)
		if chat.KindOf(err) == chat.NotFound {
			return nil // the member is known and its room isn't yet: both are on their way
		}
		if err != nil {
			return fmt.Errorf("reading a room: %w", err)
		}
		v := visit{user: claims.User, room: room, self: m}
		if !owned[m.Room] {
			if v, err = f.owned(ctx, v); err != nil {
				return err
			}
		}
		entries[i], err = f.entry(ctx, room, v.self)
		return err
	})
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e entry) bool { return e.ID == "" })
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(b.latest.Compare(a.latest), strings.Compare(string(a.ID), string(b.ID)))
	})
	rooms := make([]view.Room, len(entries))
	for i := range entries {
		rooms[i] = entries[i].Room
	}
	serve.JSON(w, http.StatusOK, map[string][]view.Room{"rooms": rooms})
	return nil
}

func (f *Function) show(w http.ResponseWriter, r *http.Request) error {
	v, err := f.inside(r)
	if err != nil {
		return err
	}
	if v, err = f.owned(r.Context(), v); err != nil {
		return err
	}
	return f.answer(w, r, http.StatusOK, v)
}

// answer answers with the room as the caller sees it.
func (f *Function) answer(w http.ResponseWriter, r *http.Request, status int, v visit) error {
	e, err := f.entry(r.Context(), v.room, v.self)
	if err != nil {
		return err
	}
	serve.JSON(w, status, e.Room)
	return nil
}

func (f *Function) entry(ctx context.Context, room chat.Room, self chat.Membership) (entry, error) {
	e := entry{latest: room.Created}
	e.Room = view.Room{ID: room.ID, Name: room.Name, Kind: room.Kind, Role: self.Role, Read: self.Read}
	newest := chat.Range{Limit: 1, Newest: true}
	events, _, err := f.events.Events(ctx, room.ID, newest)
	if err != nil {
		return e, fmt.Errorf("reading a room's last event: %w", err)
	}
	if len(events) > 0 {
		e.Sequence = events[0].Sequence
	}
	read := max(self.Read, self.Since) // nobody has to read what was said before joining
	if e.Unread, err = f.events.Unread(ctx, room.ID, read, self.User, maxUnread); err != nil {
		return e, fmt.Errorf("counting unread messages: %w", err)
	}
	if room.Kind == chat.Direct {
		if e.Name, err = f.other(ctx, room.ID, self.User); err != nil {
			return e, err
		}
	}
	messages, _, err := f.events.Messages(ctx, room.ID, newest)
	if err != nil {
		return e, fmt.Errorf("reading a room's last message: %w", err)
	}
	if len(messages) == 0 {
		return e, nil
	}
	last := &messages[0]
	sender, err := f.membership(ctx, room.ID, last.User())
	if err != nil {
		return e, err
	}
	e.latest = last.Time
	if m, ok := view.MessageOf(last, sender.Nickname); ok {
		e.LastMessage = &m
	}
	return e, nil
}

// other is the nickname of the other one in a direct room.
func (f *Function) other(ctx context.Context, room chat.RoomID, user chat.UserID) (string, error) {
	both, err := f.rooms.Members(ctx, room)
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
