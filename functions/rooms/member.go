package rooms

import (
	"context"
	"fmt"
	"net/http"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/members"
	"knatter.dev/chat/internal/names"
	"knatter.dev/chat/internal/serve"
)

// member is a membership as the members of the room see it.
type member struct {
	User     chat.UserID `json:"user"`
	Nickname string      `json:"nickname"`
	Role     chat.Role   `json:"role"`
}

func memberEvent(by chat.UserID, typ chat.Type, room chat.RoomID, user chat.UserID, nickname string, role chat.Role) (chat.Event, error) {
	return chat.NewEvent(names.NewEvent(), by, typ, room, chat.MemberData{User: user, Nickname: nickname, Role: role})
}

// about is an event of a member as it is now.
func about(m chat.Membership, by chat.UserID, typ chat.Type) (chat.Event, error) {
	return memberEvent(by, typ, m.Room, m.User, m.Nickname, m.Role)
}

// notify tells a user's connectors again what is in the store already, in case
// the first time failed half-way.
func (f *Function) notify(ctx context.Context, m chat.Membership, by chat.UserID, typ chat.Type) error {
	e, err := about(m, by, typ)
	if err != nil {
		return err
	}
	return members.Notify(ctx, f.log, e)
}

// roomFor checks that a user can be in one more room. Errors: Invalid.
func (f *Function) roomFor(ctx context.Context, user chat.UserID) error {
	rooms, err := f.rooms.RoomsOf(ctx, user)
	if err != nil {
		return fmt.Errorf("listing a user's rooms: %w", err)
	}
	if len(rooms) >= maxRooms {
		return chat.Errorf(chat.Invalid, "a user can be in at most %d rooms", maxRooms)
	}
	return nil
}

// active is who is in the room now, by user.
func (f *Function) active(ctx context.Context, room chat.RoomID) ([]chat.Membership, error) {
	all, err := f.rooms.Members(ctx, room)
	if err != nil {
		return nil, fmt.Errorf("listing members: %w", err)
	}
	in := all[:0]
	for _, m := range all {
		if m.Active {
			in = append(in, m)
		}
	}
	return in, nil
}

func (f *Function) listMembers(w http.ResponseWriter, r *http.Request) error {
	v, err := f.inside(r)
	if err != nil {
		return err
	}
	in, err := f.active(r.Context(), v.room.ID)
	if err != nil {
		return err
	}
	list := make([]member, 0, len(in))
	for _, m := range in {
		list = append(list, member{User: m.User, Nickname: m.Nickname, Role: m.Role})
	}
	serve.JSON(w, http.StatusOK, map[string][]member{"members": list})
	return nil
}

// addMember lets the caller join by the room's code, which is its ID, or invite
// another user: 201, or 200 for who is in already. Somebody who was removed
// doesn't get back by the code, only by an owner's or a moderator's invitation.
func (f *Function) addMember(w http.ResponseWriter, r *http.Request) error {
	v, err := f.visit(r)
	if err != nil {
		return err
	}
	var in struct{ User chat.UserID }
	if err := serve.Decode(w, r, &in); err != nil {
		return err
	}
	target := v.self
	joins := in.User == "" || in.User == v.user
	if joins {
		in.User = v.user
	} else {
		if !v.self.Active {
			return chat.Errorf(chat.Forbidden, "only members may invite")
		}
		if target, err = f.membership(r.Context(), v.room.ID, in.User); err != nil {
			return err
		}
	}
	if target.Active {
		if err := f.notify(r.Context(), target, v.user, chat.MemberJoined); err != nil {
			return err
		}
		return f.added(w, r, http.StatusOK, v, target)
	}
	if v.room.Kind == chat.Direct {
		return chat.Errorf(chat.Forbidden, "a direct room is of two, who open it with POST /v1/direct")
	}
	account, err := f.account(r.Context(), in.User)
	if err != nil {
		return err
	}
	if joins || v.self.Role == chat.Plain {
		removed, err := f.removed(r.Context(), target)
		if err != nil {
			return err
		}
		if removed {
			return chat.Errorf(chat.Forbidden, "after a removal only an owner or a moderator can invite to the room again")
		}
	}
	if err := f.roomFor(r.Context(), in.User); err != nil {
		return err
	}
	present, err := f.active(r.Context(), v.room.ID)
	if err != nil {
		return err
	}
	if len(present) >= maxMembers {
		return chat.Errorf(chat.Invalid, "a room can have at most %d members", maxMembers)
	}
	e, err := memberEvent(v.user, chat.MemberJoined, v.room.ID, in.User, account.Nickname, chat.Plain)
	if err != nil {
		return err
	}
	if err := members.Publish(r.Context(), f.log, f.rooms, e); err != nil {
		return err
	}
	if target, err = f.membership(r.Context(), v.room.ID, in.User); err != nil {
		return err
	}
	return f.added(w, r, http.StatusCreated, v, target)
}

// added answers a join with the room, an invitation with the member.
func (f *Function) added(w http.ResponseWriter, r *http.Request, status int, v visit, m chat.Membership) error {
	if m.User != v.user {
		serve.JSON(w, status, member{User: m.User, Nickname: m.Nickname, Role: m.Role})
		return nil
	}
	v.self = m
	return f.answer(w, r, status, v)
}

// removed tells whether somebody who is not in the room was sent away, or left
// or never was there. The store knows only that he isn't, but also the sequence of
// the event that says why. That event is in the log's tail or, once it is
// committed there, in the event store; asked in this order one of them has it.
func (f *Function) removed(ctx context.Context, m chat.Membership) (bool, error) {
	if m.Sequence == 0 {
		return false, nil
	}
	tail, err := f.log.Tail(ctx, m.Room)
	if err != nil {
		return false, fmt.Errorf("reading the log: %w", err)
	}
	stored, _, err := f.events.Events(ctx, m.Room, chat.Range{After: m.Sequence - 1, Before: m.Sequence + 1, Limit: 1})
	if err != nil {
		return false, fmt.Errorf("reading an event: %w", err)
	}
	for _, e := range append(stored, tail...) {
		if e.Sequence == m.Sequence {
			return e.Type == chat.MemberRemoved, nil
		}
	}
	return false, nil
}

// changeRole goes a little beyond the protocol's table: {"role"} by an owner.
func (f *Function) changeRole(w http.ResponseWriter, r *http.Request) error {
	v, err := f.inside(r)
	if err != nil {
		return err
	}
	if v.self.Role != chat.Owner {
		return chat.Errorf(chat.Forbidden, "only an owner may change roles")
	}
	var in struct{ Role chat.Role }
	if err := serve.Decode(w, r, &in); err != nil {
		return err
	}
	switch in.Role {
	case chat.Owner, chat.Moderator, chat.Plain:
	default:
		return chat.Errorf(chat.Invalid, "role must be %s, %s or %s", chat.Owner, chat.Moderator, chat.Plain)
	}
	target, err := f.membership(r.Context(), v.room.ID, chat.UserID(r.PathValue("user")))
	if err != nil {
		return err
	}
	if !target.Active {
		return chat.Errorf(chat.NotFound, "no such member")
	}
	if target.Role != in.Role {
		if target.Role == chat.Owner {
			present, err := f.active(r.Context(), v.room.ID)
			if err != nil {
				return err
			}
			if owners(present) == 1 {
				return chat.Errorf(chat.Conflict, "the room needs an owner; make somebody else one first")
			}
		}
		target.Role = in.Role
		e, err := about(target, v.user, chat.MemberUpdated)
		if err != nil {
			return err
		}
		if err := members.Publish(r.Context(), f.log, f.rooms, e); err != nil {
			return err
		}
	}
	serve.JSON(w, http.StatusOK, member{User: target.User, Nickname: target.Nickname, Role: target.Role})
	return nil
}

func owners(in []chat.Membership) (n int) {
	for _, m := range in {
		if m.Role == chat.Owner {
			n++
		}
	}
	return n
}

// removeMember lets the caller leave, or remove somebody below: an owner anyone, a
// moderator plain members. Whoever is out already is told so again.
func (f *Function) removeMember(w http.ResponseWriter, r *http.Request) error {
	v, err := f.visit(r)
	if err != nil {
		return err
	}
	user := chat.UserID(r.PathValue("user"))
	target, typ := v.self, chat.MemberLeft
	if user != v.user {
		typ = chat.MemberRemoved
		if target, err = f.mayRemove(r.Context(), v, user); err != nil {
			return err
		}
	}
	if target.User == "" {
		return chat.Errorf(chat.NotFound, "no such member")
	}
	var events []chat.Event
	if target.Active {
		e, err := about(target, v.user, typ)
		if err != nil {
			return err
		}
		events = append(events, e)
	} else if err := f.notify(r.Context(), target, v.user, typ); err != nil {
		return err
	}
	heir, err := f.heir(r.Context(), v, target)
	if err != nil {
		return err
	}
	if heir.User != "" {
		e, err := about(heir, v.user, chat.MemberUpdated)
		if err != nil {
			return err
		}
		events = append(events, e)
	}
	if err := members.Publish(r.Context(), f.log, f.rooms, events...); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// mayRemove returns the membership that is to end. Errors: Forbidden.
func (f *Function) mayRemove(ctx context.Context, v visit, user chat.UserID) (chat.Membership, error) {
	if !v.self.Active {
		return chat.Membership{}, chat.Errorf(chat.Forbidden, "you are not in this room")
	}
	target, err := f.membership(ctx, v.room.ID, user)
	if err != nil {
		return target, err
	}
	if v.self.Role == chat.Owner || v.self.Role == chat.Moderator && (!target.Active || target.Role == chat.Plain) {
		return target, nil
	}
	return target, chat.Errorf(chat.Forbidden, "your role does not allow to remove this member")
}

// heir is who becomes owner, with that role, if without the one who goes the room
// has members and no owner; nobody otherwise. It is the one whose membership has
// been as it is for longest: since he joined, or was last called something else.
func (f *Function) heir(ctx context.Context, v visit, gone chat.Membership) (chat.Membership, error) {
	if v.room.Kind == chat.Direct || gone.Role != chat.Owner {
		return chat.Membership{}, nil
	}
	present, err := f.active(ctx, v.room.ID)
	if err != nil {
		return chat.Membership{}, err
	}
	var heir chat.Membership
	for _, m := range present {
		if m.User == gone.User {
			continue
		}
		if m.Role == chat.Owner {
			return chat.Membership{}, nil
		}
		if heir.User == "" || m.Sequence < heir.Sequence {
			heir = m
		}
	}
	heir.Role = chat.Owner
	return heir, nil
}
