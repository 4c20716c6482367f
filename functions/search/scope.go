package search

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"knatter.dev/chat"
)

// maxSenders bounds the people who have one nickname.
const maxSenders = 50

// scope is the rooms and the senders that a request is about, and whether there are any:
// a name that nobody has finds nothing. Errors: Forbidden, Invalid.
func (f *Function) scope(ctx context.Context, user chat.UserID, p *request) (q chat.Query, ok bool, err error) {
	if q.Rooms, err = f.roomsFor(ctx, user, p.room); err != nil {
		return q, false, err
	}
	if len(p.rooms) > 0 {
		if q.Rooms, err = f.named(ctx, user, q.Rooms, p.rooms); err != nil {
			return q, false, err
		}
	}
	if len(p.senders) > 0 {
		if q.From, err = f.senders(ctx, q.Rooms, p.senders); err != nil {
			return q, false, err
		}
	}
	if p.from != "" {
		if len(p.senders) > 0 && !slices.Contains(q.From, p.from) {
			return q, false, nil
		}
		q.From = []chat.UserID{p.from}
	}
	if len(q.From) > maxSenders {
		return q, false, chat.Errorf(chat.Invalid, "from: more than %d people have such a nickname; use an id", maxSenders)
	}
	return q, len(q.Rooms) > 0 && (len(p.senders) == 0 || len(q.From) > 0), nil
}

// roomsFor are the rooms to search: the one asked for, or all of the user's.
// Errors: Forbidden.
func (f *Function) roomsFor(ctx context.Context, user chat.UserID, room chat.RoomID) ([]chat.RoomID, error) {
	if room != "" {
		m, err := f.rooms.Membership(ctx, room, user)
		switch {
		case err != nil && chat.KindOf(err) != chat.NotFound:
			return nil, fmt.Errorf("reading a membership: %w", err)
		case err != nil || !m.Active:
			return nil, chat.Errorf(chat.Forbidden, "not a member of the room")
		}
		return []chat.RoomID{room}, nil
	}
	memberships, err := f.rooms.RoomsOf(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("listing a user's rooms: %w", err)
	}
	rooms := make([]chat.RoomID, len(memberships))
	for i, m := range memberships {
		rooms[i] = m.Room
	}
	return rooms, nil
}

// named are those of the rooms that have one of the names, or ids. A direct room has the
// other's nickname.
func (f *Function) named(ctx context.Context, user chat.UserID, rooms []chat.RoomID, names []string) ([]chat.RoomID, error) {
	is := make([]bool, len(rooms))
	err := f.reads.Each(ctx, len(rooms), func(ctx context.Context, i int) error {
		if is[i] = slices.Contains(names, string(rooms[i])); is[i] {
			return nil
		}
		room, err := f.rooms.Room(ctx, rooms[i])
		if err != nil {
			if chat.KindOf(err) == chat.NotFound {
				return nil
			}
			return fmt.Errorf("reading a room: %w", err)
		}
		if room.Kind != chat.Direct {
			is[i] = isOne(names, room.Name)
			return nil
		}
		both, err := f.rooms.Members(ctx, rooms[i])
		if err != nil {
			return fmt.Errorf("listing members: %w", err)
		}
		for _, m := range both {
			is[i] = is[i] || m.User != user && isOne(names, m.Nickname)
		}
		return nil
	})
	var found []chat.RoomID
	for i, room := range rooms {
		if is[i] {
			found = append(found, room)
		}
	}
	return found, err
}

// senders are those who have one of the nicknames in one of the rooms, or had when they
// left, or one of the ids.
func (f *Function) senders(ctx context.Context, rooms []chat.RoomID, names []string) ([]chat.UserID, error) {
	found := make([][]chat.UserID, len(rooms))
	err := f.reads.Each(ctx, len(rooms), func(ctx context.Context, i int) error {
		members, err := f.rooms.Members(ctx, rooms[i])
		if err != nil {
			return fmt.Errorf("listing members: %w", err)
		}
		for _, m := range members {
			if slices.Contains(names, string(m.User)) || isOne(names, m.Nickname) {
				found[i] = append(found[i], m.User)
			}
		}
		return nil
	})
	all := slices.Concat(found...)
	slices.Sort(all)
	return slices.Compact(all), err
}

// isOne reports whether a name is one of those that were typed, in whatever case.
func isOne(typed []string, name string) bool {
	return slices.ContainsFunc(typed, func(t string) bool { return strings.EqualFold(norm.NFC.String(t), name) })
}
