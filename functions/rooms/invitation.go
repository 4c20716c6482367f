package rooms

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/attempts"
	"knatter.dev/chat/internal/members"
	"knatter.dev/chat/internal/names"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/view"
)

// Bounds of invitations that wait for consent, at one user.
const (
	maxWaiting     = 100 // from everybody
	maxWaitingFrom = 10  // from one
)

// recentMessages is how far back in a direct room the other's answer is looked for.
const recentMessages = 100

// Limits are the rates over which invitations, and direct rooms that are opened, are
// answered by 429. The zero value of each means its default.
type Limits struct {
	Invite    attempts.Rate // by one user; default 300 an hour
	InviteOne attempts.Rate // of one user by one other; default 50 an hour
	Accept    attempts.Rate // codes that one user tries; default 60 an hour
}

var defaults = Limits{
	Invite:    attempts.Rate{Count: 300, Window: time.Hour},
	InviteOne: attempts.Rate{Count: 50, Window: time.Hour},
	Accept:    attempts.Rate{Count: 60, Window: time.Hour},
}

// mayInvite counts an invitation. Errors: TooMany.
func (f *Function) mayInvite(w http.ResponseWriter, r *http.Request, by, user chat.UserID) error {
	one := string(by) + " " + string(user)
	if err := attempts.Allow(w, r, f.attempts, "invite one", one, cmp.Or(f.Limits.InviteOne, defaults.InviteOne)); err != nil {
		return err
	}
	return attempts.Allow(w, r, f.attempts, "invite", string(by), cmp.Or(f.Limits.Invite, defaults.Invite))
}

// inviteUser lets in whom the caller invites: 201, or 200 for who is in already. Whom the
// caller does not know has to consent: 202.
func (f *Function) inviteUser(w http.ResponseWriter, r *http.Request, v visit, user chat.UserID) error {
	ctx := r.Context()
	if !v.self.Active {
		return chat.Errorf(chat.Forbidden, "only members may invite")
	}
	target, err := f.membership(ctx, v.room.ID, user)
	if err != nil {
		return err
	}
	if target.Active {
		if err := f.notify(ctx, target, v.user, chat.MemberJoined); err != nil {
			return err
		}
		serve.JSON(w, http.StatusOK, view.MemberOf(target))
		return nil
	}
	if v.room.Kind == chat.Direct {
		return errDirect
	}
	account, err := f.account(ctx, user)
	if err != nil {
		return err
	}
	if v, err = f.owned(ctx, v); err != nil {
		return err
	}
	if v.self.Role == chat.Plain && v.room.Joining == chat.JoinByInvitation {
		return chat.Errorf(chat.Forbidden, "only owners and moderators may invite to this room")
	}
	if v.self.Role == chat.Plain && target.Removed {
		return errRemoved
	}
	if err := f.mayInvite(w, r, v.user, user); err != nil {
		return err
	}
	known, err := f.knows(ctx, user, v.user)
	if err != nil {
		return err
	}
	if !known {
		if err := f.ask(ctx, v, target, account); err != nil {
			return err
		}
		serve.JSON(w, http.StatusAccepted, map[string]chat.UserID{"user": user})
		return nil
	}
	if _, err := f.admit(ctx, v, user); err != nil {
		return err
	}
	if target, err = f.membership(ctx, v.room.ID, user); err != nil {
		return err
	}
	serve.JSON(w, http.StatusCreated, view.MemberOf(target))
	return nil
}

// knows reports whether a user knows another one: has them as a friend, shares a
// group with them, or has answered them in the direct room of the two, which the
// other can open alone.
func (f *Function) knows(ctx context.Context, user, other chat.UserID) (bool, error) {
	friends, err := f.accounts.Friends(ctx, user)
	if err != nil {
		return false, fmt.Errorf("listing friends: %w", err)
	}
	if slices.Contains(friends, other) {
		return true, nil
	}
	theirs, err := f.rooms.RoomsOf(ctx, other)
	if err != nil {
		return false, fmt.Errorf("listing a user's rooms: %w", err)
	}
	in := make(map[chat.RoomID]bool, len(theirs))
	for _, m := range theirs {
		in[m.Room] = true
	}
	mine, err := f.rooms.RoomsOf(ctx, user)
	if err != nil {
		return false, fmt.Errorf("listing a user's rooms: %w", err)
	}
	direct := names.Direct(user, other)
	answered := false
	for _, m := range mine {
		switch {
		case !in[m.Room]:
		case m.Room != direct:
			return true, nil
		default:
			answered = true
		}
	}
	if !answered {
		return false, nil
	}
	recent, _, err := f.events.Messages(ctx, direct, chat.Range{Limit: recentMessages, Newest: true})
	if err != nil {
		return false, fmt.Errorf("reading messages: %w", err)
	}
	return slices.ContainsFunc(recent, func(e chat.Event) bool { return e.User() == user }), nil
}

// ask logs an invitation that waits for consent, unless it does already. It counts for
// nothing until then, neither in the room nor for the user's limits. Where as many wait as
// may, another makes room for it. Errors: TooMany.
func (f *Function) ask(ctx context.Context, v visit, target chat.Membership, account chat.Account) error {
	if target.InvitedBy == v.user {
		return nil
	}
	waiting, err := f.rooms.Invitations(ctx, account.ID)
	if err != nil {
		return fmt.Errorf("listing invitations: %w", err)
	}
	dropped, ok := makeRoom(waiting, v.user)
	if !ok {
		return chat.Errorf(chat.TooMany, "too many invitations wait for this person's consent")
	}
	for _, m := range dropped {
		e, err := memberEvent(m.User, chat.MemberDeclined, m.Room, m.User, account.Nickname, chat.Plain)
		if err == nil {
			err = members.Publish(ctx, f.log, f.rooms, e)
		}
		if err != nil {
			return err
		}
	}
	e, err := memberEvent(v.user, chat.MemberInvited, v.room.ID, account.ID, account.Nickname, chat.Plain)
	if err != nil {
		return err
	}
	return members.Publish(ctx, f.log, f.rooms, e)
}

// makeRoom tells which of the waiting invitations have to go for one more by a user: the
// oldest of those who have the most there. Who has none there is never refused, so some
// accounts cannot keep all others out; who has some takes nobody's place who has as few.
func makeRoom(waiting []chat.Membership, by chat.UserID) (dropped []chat.Membership, ok bool) {
	from := make(map[chat.UserID]int)
	for _, m := range waiting {
		from[m.InvitedBy]++
	}
	if from[by] >= maxWaitingFrom {
		return nil, false
	}
	if len(waiting) < maxWaiting {
		return nil, true
	}
	first := slices.MinFunc(waiting, func(a, b chat.Membership) int {
		return cmp.Or(cmp.Compare(from[b.InvitedBy], from[a.InvitedBy]), a.InvitedAt.Compare(b.InvitedAt), cmp.Compare(a.Room, b.Room))
	})
	if from[by] > 0 && from[by]+1 >= from[first.InvitedBy] {
		return nil, false
	}
	return []chat.Membership{first}, true
}

// decline ends an invitation that waits: the invited declines it; who invited, an owner
// or a moderator withdraws it. It reports whether there was one.
func (f *Function) decline(w http.ResponseWriter, r *http.Request, v visit, user chat.UserID) (done bool, err error) {
	target := v.self
	if user != v.user {
		if target, err = f.membership(r.Context(), v.room.ID, user); err != nil {
			return false, err
		}
		mine := target.InvitedBy == v.user || v.self.Role != chat.Plain
		if !v.self.Active || !mine {
			return false, nil
		}
	}
	if target.InvitedBy == "" {
		return false, nil
	}
	e, err := memberEvent(v.user, chat.MemberDeclined, v.room.ID, user, target.Nickname, chat.Plain)
	if err != nil {
		return false, err
	}
	if err := members.Publish(r.Context(), f.log, f.rooms, e); err != nil {
		return false, err
	}
	w.WriteHeader(http.StatusNoContent)
	return true, nil
}

// invitations lists what waits for the caller's consent, latest first. An invitation
// of somebody who is not in the room any more counts no longer.
func (f *Function) invitations(w http.ResponseWriter, r *http.Request) error {
	claims, err := f.verifier.Request(r)
	if err != nil {
		return err
	}
	waiting, err := f.rooms.Invitations(r.Context(), claims.User)
	if err != nil {
		return fmt.Errorf("listing invitations: %w", err)
	}
	slices.SortFunc(waiting, func(a, b chat.Membership) int {
		return cmp.Or(b.InvitedAt.Compare(a.InvitedAt), cmp.Compare(a.Room, b.Room))
	})
	list := make([]view.Invitation, 0, len(waiting))
	for _, m := range waiting {
		room, err := f.rooms.Room(r.Context(), m.Room)
		if chat.KindOf(err) == chat.NotFound && err != nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading a room: %w", err)
		}
		by, err := f.membership(r.Context(), m.Room, m.InvitedBy)
		if err != nil {
			return err
		}
		if by.Active {
			list = append(list, view.Invitation{
				Room: m.Room, Name: room.Name, By: view.User{ID: by.User, Nickname: by.Nickname},
				Time: view.Time{Time: m.InvitedAt},
			})
		}
	}
	serve.JSON(w, http.StatusOK, map[string][]view.Invitation{"invitations": list})
	return nil
}
