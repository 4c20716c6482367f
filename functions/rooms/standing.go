package rooms

import (
	"cmp"
	"context"
	"fmt"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/members"
	"knatter.dev/chat/internal/projection"
)

// standing is who is and was in a room at a place in its log.
type standing map[chat.UserID]*projection.Relation

// apply adds what an event says. It may be there already.
func (s standing) apply(e *chat.Event) error {
	c, ok, err := projection.Of(e)
	if err != nil || !ok || c.Member == nil {
		return err
	}
	if s[c.User] == nil {
		s[c.User] = &projection.Relation{Room: c.RoomID, User: c.User}
	}
	s[c.User].Add(c)
	return nil
}

// of is what a user is in the room; the zero membership if nothing.
func (s standing) of(user chat.UserID) chat.Membership {
	if r := s[user]; r != nil {
		return r.View()
	}
	return chat.Membership{}
}

func (s standing) owners() (n int) {
	for _, r := range s {
		if r.Owns() {
			n++
		}
	}
	return n
}

// mayChange checks that one member may give another a role. Errors: Forbidden,
// NotFound, Conflict when the room would have no owner.
func (s standing) mayChange(by, user chat.UserID, role chat.Role) error {
	target := s.of(user)
	switch {
	case s[by] == nil || !s[by].Owns():
		return chat.Errorf(chat.Forbidden, "only an owner may change roles")
	case !target.Active:
		return chat.Errorf(chat.NotFound, "no such member")
	case target.Role == chat.Owner && role != chat.Owner && s.owners() == 1:
		return chat.Errorf(chat.Conflict, "the room needs an owner; make somebody else one first")
	}
	return nil
}

// successor returns who becomes owner of a room that has members but no owner: the
// longest-serving moderator, or else the longest-serving member.
func (s standing) successor() (next chat.Membership, ok bool) {
	rank := func(m chat.Membership) int {
		if m.Role == chat.Moderator {
			return 0
		}
		return 1
	}
	for _, r := range s {
		m := r.View()
		switch {
		case !m.Active:
		case m.Role == chat.Owner:
			return chat.Membership{}, false
		case !ok || cmp.Or(cmp.Compare(rank(m), rank(next)), cmp.Compare(m.Since, next.Since)) < 0:
			next, ok = m, true
		}
	}
	return next, ok
}

// place is a standing and the place in the log up to which it is complete: events
// from end on may be missing.
type place struct {
	standing
	end chat.Sequence
}

// here is the standing after all that has been logged in a room. It reads the log's
// tail before the store, so that nothing falls between.
func (f *Function) here(ctx context.Context, room chat.RoomID) (place, error) {
	tail, end, err := f.log.TailEnd(ctx, room.Stream())
	if err != nil {
		return place{}, fmt.Errorf("reading the log: %w", err)
	}
	over := projection.Over(f.rooms.States, func(chat.StreamID) []chat.Event { return tail })
	all, err := over.Relations(ctx, room)
	if err != nil {
		return place{}, fmt.Errorf("listing members: %w", err)
	}
	p := place{standing: make(standing, len(all)), end: end}
	for i := range all {
		p.standing[all[i].User] = &all[i]
	}
	return p, nil
}

// moveTo moves p on to just before an event that was logged since. What lies between
// is in the log's tail or, once it is committed there, in the store.
func (f *Function) moveTo(ctx context.Context, p place, room chat.RoomID, at chat.Sequence) error {
	between, err := f.log.Tail(ctx, room.Stream())
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	for after, more := p.end-1, true; more; {
		var stored []chat.Event
		stored, more, err = f.events.Events(ctx, room, chat.Range{After: after, Before: at, Limit: 1000})
		if err != nil {
			return fmt.Errorf("reading events: %w", err)
		}
		if len(stored) > 0 {
			after = stored[len(stored)-1].Sequence
		}
		between = append(between, stored...)
	}
	for i := range between {
		if between[i].Sequence >= at {
			continue
		}
		if err := p.apply(&between[i]); err != nil {
			return err
		}
	}
	return nil
}

// setRole gives a member a role. Of changes that were checked at the same moment only
// those count that the log's order allows: one that comes too late is taken back.
//
// Errors: those of [standing.mayChange]; Conflict for a change that came too late.
func (f *Function) setRole(ctx context.Context, v visit, user chat.UserID, role chat.Role) (chat.Membership, error) {
	if err := f.ensureOwner(ctx, v.room); err != nil {
		return chat.Membership{}, err
	}
	now, err := f.here(ctx, v.room.ID)
	if err != nil {
		return chat.Membership{}, err
	}
	if err := now.mayChange(v.user, user, role); err != nil {
		return chat.Membership{}, err
	}
	target := now.of(user)
	if target.Role == role {
		return target, nil
	}
	at, err := f.publishRole(ctx, v.user, target, role)
	if err != nil {
		return chat.Membership{}, err
	}
	if err := f.moveTo(ctx, now, v.room.ID, at); err != nil {
		return chat.Membership{}, err
	}
	if err := now.mayChange(v.user, user, role); err != nil {
		if _, err := f.publishRole(ctx, v.user, target, now.of(user).Role); err != nil {
			return chat.Membership{}, err
		}
		return chat.Membership{}, chat.Errorf(chat.Conflict, "somebody else changed the room's roles at the same moment: %w", err)
	}
	target.Role = role
	return target, nil
}

// publishRole publishes that a member has a role, and returns the place of that.
func (f *Function) publishRole(ctx context.Context, by chat.UserID, m chat.Membership, role chat.Role) (chat.Sequence, error) {
	e, err := newMemberEvent(by, chat.MemberUpdated, m.Room, chat.MemberData{User: m.User, Nickname: m.Nickname, Role: role, Changed: chat.ChangedRole})
	if err != nil {
		return 0, err
	}
	events := []chat.Event{e}
	err = members.Publish(ctx, f.log, f.rooms, events...)
	return events[0].Sequence, err
}

// ensureOwner gives a room with members an owner if it has none: because the last one
// has left, and whoever should have seen to it has failed, or because an earlier
// version has left it so.
func (f *Function) ensureOwner(ctx context.Context, room chat.Room) error {
	if room.Kind == chat.Direct {
		return nil
	}
	owned, err := f.rooms.Owned(ctx, []chat.RoomID{room.ID})
	if err != nil {
		return fmt.Errorf("looking for an owner: %w", err)
	}
	if owned[room.ID] {
		return nil
	}
	now, err := f.here(ctx, room.ID)
	if err != nil {
		return err
	}
	successor, ok := now.successor()
	if !ok {
		return nil
	}
	_, err = f.publishRole(ctx, successor.User, successor, chat.Owner)
	return err
}

// owned is the visit with a role that is of a room with an owner.
func (f *Function) owned(ctx context.Context, v visit) (visit, error) {
	if !v.self.Active || v.self.Role == chat.Owner {
		return v, nil
	}
	if err := f.ensureOwner(ctx, v.room); err != nil {
		return v, err
	}
	var err error
	v.self, err = f.membership(ctx, v.room.ID, v.user)
	return v, err
}
