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
	"knatter.dev/chat/internal/names"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/view"
)

// Bounds of invites, which let in who has their code.
const (
	maxInvites   = 100                // of a room
	maxExpiresIn = 366 * 24 * 60 * 60 // seconds
	maxUses      = 100_000
)

// errNoInvite is the same for all that an invite can lack, so that codes tell nothing.
var errNoInvite = chat.Errorf(chat.NotFound, "no such invitation, or it is used up, expired or withdrawn")

// hosting is as inside, for who may make and withdraw invites. Errors: Forbidden for
// anybody else.
func (f *Function) hosting(r *http.Request) (visit, error) {
	v, err := f.inside(r)
	if err != nil {
		return v, err
	}
	if v.room.Kind == chat.Direct {
		return v, errDirect
	}
	if v, err = f.owned(r.Context(), v); err == nil && v.self.Role == chat.Plain {
		err = chat.Errorf(chat.Forbidden, "only owners and moderators may invite by a code")
	}
	return v, err
}

// createInvite makes an invite.
func (f *Function) createInvite(w http.ResponseWriter, r *http.Request) error {
	v, err := f.hosting(r)
	if err != nil {
		return err
	}
	var in struct{ ExpiresIn, Uses *float64 }
	if err := serve.Decode(w, r, &in); err != nil {
		return err
	}
	seconds, err := count("expiresIn", in.ExpiresIn, maxExpiresIn)
	if err != nil {
		return err
	}
	uses, err := count("uses", in.Uses, maxUses)
	if err != nil {
		return err
	}
	if err := attempts.Allow(w, r, f.attempts, "invite code", string(v.user), cmp.Or(f.Limits.Invite, defaults.Invite)); err != nil {
		return err
	}
	if err := f.roomForInvite(r.Context(), v.room.ID); err != nil {
		return err
	}
	_, since, err := f.log.TailEnd(r.Context(), v.room.ID.Stream())
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	i := chat.Invite{Code: names.NewInvite(), Room: v.room.ID, By: v.user, Created: chat.Now(), Uses: uses, Since: since}
	if seconds > 0 {
		i.Expires = i.Created.Add(time.Duration(seconds) * time.Second)
	}
	if err := f.invites.Create(r.Context(), i); err != nil {
		return fmt.Errorf("storing an invite: %w", err)
	}
	w.Header().Set("Location", "/v1/rooms/"+string(v.room.ID)+"/invitations/"+i.Code)
	serve.JSON(w, http.StatusCreated, view.InviteOf(i, v.self))
	return nil
}

// count is a whole number from 1 to most, 0 if it is not there. Errors: Invalid.
func count(what string, n *float64, most int) (int, error) {
	if n == nil {
		return 0, nil
	}
	if *n < 1 || *n > float64(most) || float64(int(*n)) != *n {
		return 0, chat.Errorf(chat.Invalid, "%s must be a whole number from 1 to %d", what, most)
	}
	return int(*n), nil
}

// roomForInvite checks that a room can have one more invite, and removes those that
// have expired. Errors: TooMany.
func (f *Function) roomForInvite(ctx context.Context, room chat.RoomID) error {
	all, err := f.invites.Invites(ctx, room)
	if err != nil {
		return fmt.Errorf("listing invites: %w", err)
	}
	left := 0
	for _, i := range all {
		if !i.Expired(time.Now()) {
			left++
			continue
		}
		if err := f.invites.Withdraw(ctx, i.Code); err != nil && chat.KindOf(err) != chat.NotFound {
			return fmt.Errorf("removing an invite: %w", err)
		}
	}
	if left >= maxInvites {
		return chat.Errorf(chat.TooMany, "a room can have at most %d invitations; withdraw some", maxInvites)
	}
	return nil
}

// listInvites lists a room's invites, latest first, without those that have expired.
func (f *Function) listInvites(w http.ResponseWriter, r *http.Request) error {
	v, err := f.hosting(r)
	if err != nil {
		return err
	}
	all, err := f.invites.Invites(r.Context(), v.room.ID)
	if err != nil {
		return fmt.Errorf("listing invites: %w", err)
	}
	slices.SortFunc(all, func(a, b chat.Invite) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.Code, b.Code))
	})
	list := make([]view.Invite, 0, len(all))
	for _, i := range all {
		if i.Expired(time.Now()) {
			continue
		}
		by, err := f.membership(r.Context(), v.room.ID, i.By)
		if err != nil {
			return err
		}
		list = append(list, view.InviteOf(i, by))
	}
	serve.JSON(w, http.StatusOK, map[string][]view.Invite{"invitations": list})
	return nil
}

// withdrawInvite ends an invite.
func (f *Function) withdrawInvite(w http.ResponseWriter, r *http.Request) error {
	v, err := f.hosting(r)
	if err != nil {
		return err
	}
	i, err := f.invite(r.Context(), r.PathValue("code"))
	if err == nil && i.Room != v.room.ID {
		err = errNoInvite
	}
	if err != nil {
		return err
	}
	if err := f.invites.Withdraw(r.Context(), i.Code); err != nil && chat.KindOf(err) != chat.NotFound {
		return fmt.Errorf("withdrawing an invite: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// invite is the invite of a code. Errors: NotFound.
func (f *Function) invite(ctx context.Context, code string) (chat.Invite, error) {
	if !chat.RoomID(code).Valid() { // codes have the same form
		return chat.Invite{}, errNoInvite
	}
	i, err := f.invites.Invite(ctx, code)
	if chat.KindOf(err) == chat.NotFound {
		return i, errNoInvite
	}
	if err != nil {
		return i, fmt.Errorf("reading an invite: %w", err)
	}
	return i, nil
}

// accept lets the caller in by a code. Who is in already does not use it.
func (f *Function) accept(w http.ResponseWriter, r *http.Request) error {
	claims, err := f.verifier.Request(r)
	if err != nil {
		return err
	}
	if err := attempts.Allow(w, r, f.attempts, "accept", string(claims.User), cmp.Or(f.Limits.Accept, defaults.Accept)); err != nil {
		return err
	}
	i, err := f.invite(r.Context(), r.PathValue("code"))
	if err != nil {
		return err
	}
	v := visit{user: claims.User}
	if v.room, err = f.rooms.Room(r.Context(), i.Room); err != nil {
		return fmt.Errorf("reading a room: %w", err)
	}
	if v.self, err = f.membership(r.Context(), i.Room, v.user); err != nil {
		return err
	}
	if i.Expired(time.Now()) {
		return errNoInvite
	}
	if v.self.Active {
		return f.join(w, r, v)
	}
	if err := f.use(r.Context(), i, v); err != nil {
		return err
	}
	enter := f.enter
	if v.self.Removed {
		enter = f.readmit
	}
	if err := enter(r.Context(), v); err != nil {
		return err
	}
	return f.answer(w, r, http.StatusOK, v)
}

// use counts that the caller comes in by an invite, unless that was counted before and
// came to nothing. Errors: NotFound; Forbidden for who was removed since the invite was
// made; those of mayEnter, before anything is counted.
func (f *Function) use(ctx context.Context, i chat.Invite, v visit) error {
	if v.self.Removed && v.self.Sequence >= i.Since {
		return errRemoved
	}
	if _, err := f.mayEnter(ctx, v.room.ID, v.user); err != nil {
		return err
	}
	err := f.invites.Change(ctx, i.Code, func(i *chat.Invite) error {
		if !i.Claim(chat.Claim{User: v.user, At: v.self.Sequence}, time.Now()) {
			return errNoInvite
		}
		return nil
	})
	if chat.KindOf(err) == chat.NotFound {
		return errNoInvite
	}
	return err
}
