package rooms

import (
	"context"
	"fmt"
	"net/http"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/members"
	"knatter.dev/chat/internal/names"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/view"
)

func newMemberEvent(by chat.UserID, typ chat.Type, room chat.RoomID, data chat.MemberData) (chat.Event, error) {
	return chat.NewEvent(names.NewEvent(), by, typ, room, data)
}

func memberEvent(by chat.UserID, typ chat.Type, room chat.RoomID, user chat.UserID, nickname string, role chat.Role) (chat.Event, error) {
	return newMemberEvent(by, typ, room, chat.MemberData{User: user, Nickname: nickname, Role: role})
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
		return chat.Invalidf("too-many-rooms", "a user can be in at most %d rooms", maxRooms)
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
	if err := f.ensureOwner(r.Context(), v.room); err != nil {
		return err
	}
	in, err := f.active(r.Context(), v.room.ID)
	if err != nil {
		return err
	}
	list := make([]view.Member, 0, len(in))
	for _, m := range in {
		list = append(list, view.MemberOf(m))
	}
	serve.JSON(w, http.StatusOK, map[string][]view.Member{"members": list})
	return nil
}

// addMember lets the caller join by the room's code, which is its ID, or invite
// another user: 201, or 200 for who is in already.
func (f *Function) addMember(w http.ResponseWriter, r *http.Request) error {
	v, err := f.visit(r)
	if err != nil {
		return err
	}
	var in struct{ User chat.UserID }
	if err := serve.Decode(w, r, &in); err != nil {
		return err
	}
	if in.User == "" || in.User == v.user {
		return f.join(w, r, v)
	}
	return f.inviteUser(w, r, v, in.User)
}

var (
	errDirect  = chat.Errorf(chat.Forbidden, "a direct room is of two, who open it with POST /v1/direct")
	errClosed  = chat.Errorf(chat.Forbidden, "people join this room by an owner's or moderator's invitation")
	errRemoved = chat.Errorf(chat.Forbidden, "after a removal only an owner or a moderator can invite to the room again")
)

// join lets the caller in, by the code or by an invitation that waited. Somebody who
// was removed does not get back by the code.
func (f *Function) join(w http.ResponseWriter, r *http.Request, v visit) error {
	if v.self.Active {
		if err := f.notify(r.Context(), v.self, v.user, chat.MemberJoined); err != nil {
			return err
		}
		return f.answer(w, r, http.StatusOK, v)
	}
	if v.room.Kind == chat.Direct {
		return errDirect
	}
	enter := f.enter
	if v.self.Removed {
		by, err := f.membership(r.Context(), v.room.ID, v.self.InvitedBy)
		if err != nil {
			return err
		}
		if !by.Active || by.Role == chat.Plain {
			return errRemoved
		}
		enter = f.readmit
	} else if v.room.Joining == chat.JoinByInvitation {
		by, err := f.membership(r.Context(), v.room.ID, v.self.InvitedBy)
		if err != nil {
			return err
		}
		if !by.Active {
			return errClosed
		}
	}
	if err := enter(r.Context(), v); err != nil {
		return err
	}
	var err error
	if v.self, err = f.membership(r.Context(), v.room.ID, v.user); err != nil {
		return err
	}
	return f.answer(w, r, http.StatusCreated, v)
}

// enter admits the caller. If a removal is logged at the same moment, their order in
// the log decides. Errors: Forbidden after a removal.
func (f *Function) enter(ctx context.Context, v visit) error {
	if v.self.Sequence == 0 { // never was here, so nobody removes him
		_, err := f.admit(ctx, v, v.user)
		return err
	}
	now, err := f.here(ctx, v.room.ID)
	if err != nil {
		return err
	}
	at, err := f.admit(ctx, v, v.user)
	if err != nil {
		return err
	}
	if err := f.moveTo(ctx, now, v.room.ID, at); err != nil {
		return err
	}
	was := now.of(v.user)
	if !was.Removed {
		return nil
	}
	was.Role = chat.Plain
	if err := f.end(ctx, v, was, chat.MemberRemoved); err != nil {
		return err
	}
	return errRemoved
}

// readmit admits the caller, who was removed and is invited again.
func (f *Function) readmit(ctx context.Context, v visit) error {
	_, err := f.admit(ctx, v, v.user)
	return err
}

// mayEnter checks that a user can be in one more room, and a room have one more member,
// and returns the user's account. Errors: NotFound without an account, Invalid when user
// or room are full.
func (f *Function) mayEnter(ctx context.Context, room chat.RoomID, user chat.UserID) (chat.Account, error) {
	account, err := f.account(ctx, user)
	if err != nil {
		return account, err
	}
	if err := f.roomFor(ctx, user); err != nil {
		return account, err
	}
	present, err := f.active(ctx, room)
	if err != nil {
		return account, err
	}
	if len(present) >= maxMembers {
		return account, chat.Invalidf("room-full", "a room can have at most %d members", maxMembers)
	}
	return account, nil
}

// admit makes a user a member and returns the place of that in the log. Errors: those of
// mayEnter.
func (f *Function) admit(ctx context.Context, v visit, user chat.UserID) (chat.Sequence, error) {
	account, err := f.mayEnter(ctx, v.room.ID, user)
	if err != nil {
		return 0, err
	}
	e, err := memberEvent(v.user, chat.MemberJoined, v.room.ID, user, account.Nickname, chat.Plain)
	if err != nil {
		return 0, err
	}
	events := []chat.Event{e}
	if err := members.Publish(ctx, f.log, f.rooms, events...); err != nil {
		return 0, err
	}
	return events[0].Sequence, f.ensureOwner(ctx, v.room)
}

// removeMember lets the caller leave, or remove somebody below: an owner anyone, a
// moderator plain members. Whoever is out already is told so again.
func (f *Function) removeMember(w http.ResponseWriter, r *http.Request) error {
	v, err := f.visit(r)
	if err != nil {
		return err
	}
	user := chat.UserID(r.PathValue("user"))
	if done, err := f.decline(w, r, v, user); done || err != nil {
		return err
	}
	target, typ := v.self, chat.MemberLeft
	if user != v.user {
		typ = chat.MemberRemoved
		if v, err = f.owned(r.Context(), v); err != nil {
			return err
		}
		if target, err = f.mayRemove(r.Context(), v, user); err != nil {
			return err
		}
	}
	switch {
	case target.Sequence == 0:
		return chat.Errorf(chat.NotFound, "no such member")
	case target.Active:
		err = f.end(r.Context(), v, target, typ)
	default:
		err = f.notify(r.Context(), target, v.user, typ)
	}
	if err != nil {
		return err
	}
	if err := f.ensureOwner(r.Context(), v.room); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// end ends a stay. An owner who is removed loses that role first, since owners can do
// so to each other at the same moment: see [Function.setRole].
func (f *Function) end(ctx context.Context, v visit, target chat.Membership, typ chat.Type) error {
	if typ == chat.MemberRemoved && target.Role == chat.Owner {
		var err error
		if target, err = f.setRole(ctx, v, target.User, chat.Plain); err != nil {
			return err
		}
	}
	e, err := about(target, v.user, typ)
	if err != nil {
		return err
	}
	return members.Publish(ctx, f.log, f.rooms, e)
}

// mayRemove returns the membership that is to end. Errors: Forbidden.
func (f *Function) mayRemove(ctx context.Context, v visit, user chat.UserID) (chat.Membership, error) {
	if !v.self.Active {
		return chat.Membership{}, errOutside
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
