package accounts

import (
	"fmt"
	"net/http"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/members"
	"knatter.dev/chat/internal/names"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/view"
)

// maxFriends bounds a user's list.
const maxFriends = 1000

func (f *Function) me(w http.ResponseWriter, r *http.Request) error {
	account, err := f.account(r)
	if err != nil {
		return err
	}
	serve.JSON(w, http.StatusOK, profileOf(account))
	return nil
}

// changeMe changes the nickname, which each room of the user gets to know. The
// rooms that know it already are passed over, so that after a failure the same
// request completes what is missing.
//
// The events say that they are about the nickname: a role that an owner changes at the
// same moment stays.
func (f *Function) changeMe(w http.ResponseWriter, r *http.Request) error {
	account, err := f.account(r)
	if err != nil {
		return err
	}
	var in struct{ Nickname string }
	if err := serve.Decode(w, r, &in); err != nil {
		return err
	}
	nickname, err := names.Clean("nickname", in.Nickname, maxNickname)
	if err != nil {
		return err
	}
	if err := f.allow(w, r, "nickname", string(account.ID), f.Limits.Nickname, defaults.Nickname); err != nil {
		return err
	}
	if err := f.accounts.SetNickname(r.Context(), account.ID, nickname); err != nil {
		return fmt.Errorf("changing a nickname: %w", err)
	}
	account.Nickname = nickname
	memberships, err := f.rooms.RoomsOf(r.Context(), account.ID)
	if err != nil {
		return fmt.Errorf("listing a user's rooms: %w", err)
	}
	var events []chat.Event
	for _, m := range memberships {
		if m.Nickname == nickname {
			continue
		}
		e, err := chat.NewEvent(names.NewEvent(), account.ID, chat.MemberUpdated, m.Room,
			chat.MemberData{User: account.ID, Nickname: nickname, Role: m.Role, Changed: chat.ChangedNickname})
		if err != nil {
			return err
		}
		events = append(events, e)
	}
	if err := members.Publish(r.Context(), f.log, f.rooms, events...); err != nil {
		return err
	}
	serve.JSON(w, http.StatusOK, profileOf(account))
	return nil
}

func (f *Function) friends(w http.ResponseWriter, r *http.Request) error {
	claims, err := f.verifier.Request(r)
	if err != nil {
		return err
	}
	ids, err := f.accounts.Friends(r.Context(), claims.User)
	if err != nil {
		return fmt.Errorf("listing friends: %w", err)
	}
	list := make([]view.User, 0, len(ids))
	for _, id := range ids {
		account, err := f.accounts.Account(r.Context(), id)
		if chat.KindOf(err) == chat.NotFound {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading an account: %w", err)
		}
		list = append(list, view.User{ID: account.ID, Nickname: account.Nickname})
	}
	serve.JSON(w, http.StatusOK, map[string][]view.User{"friends": list})
	return nil
}

// befriend adds whoever has the address to the caller's list, and to nobody else's.
// Whether somebody has it the answer does not say, nor the time it takes. The list
// does, of as many addresses as the rates allow.
func (f *Function) befriend(w http.ResponseWriter, r *http.Request) error {
	claims, err := f.verifier.Request(r)
	if err != nil {
		return err
	}
	var in struct{ Email string }
	if err := serve.Decode(w, r, &in); err != nil {
		return err
	}
	email, err := names.SoughtEmail(in.Email)
	if err != nil {
		return err
	}
	if err := f.allow(w, r, "friend", string(claims.User), f.Limits.Friend, defaults.Friend); err != nil {
		return err
	}
	if err := f.allow(w, r, "friends", client(r), f.Limits.Friends, defaults.Friends); err != nil {
		return err
	}
	ids, err := f.accounts.Friends(r.Context(), claims.User)
	if err != nil {
		return fmt.Errorf("listing friends: %w", err)
	}
	if len(ids) >= maxFriends {
		return chat.Invalidf("too-many-friends", "a list has at most %d friends", maxFriends)
	}
	account, err := f.accounts.ByEmail(r.Context(), email)
	switch {
	case chat.KindOf(err) == chat.NotFound: // a write as well
		err = f.accounts.Unfriend(r.Context(), claims.User, names.NewUser())
	case err != nil:
		return fmt.Errorf("reading an account: %w", err)
	case account.ID == claims.User:
		return chat.Invalidf("own-email", "this is your own email address")
	default:
		err = f.accounts.Befriend(r.Context(), claims.User, account.ID)
	}
	if err != nil {
		return fmt.Errorf("adding a friend: %w", err)
	}
	serve.JSON(w, http.StatusAccepted, struct{}{})
	return nil
}

func (f *Function) unfriend(w http.ResponseWriter, r *http.Request) error {
	claims, err := f.verifier.Request(r)
	if err != nil {
		return err
	}
	user := chat.UserID(r.PathValue("user"))
	if !user.Valid() {
		return chat.Errorf(chat.NotFound, "no such user")
	}
	if err := f.accounts.Unfriend(r.Context(), claims.User, user); err != nil {
		return fmt.Errorf("removing a friend: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
