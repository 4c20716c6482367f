package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/view"
)

// Room is a room as its members see it. A new room has no sequence yet.
type Room = view.Room

// Member is a member of a room.
type Member = view.Member

func roomPath(room chat.RoomID, rest string) string {
	return "/v1/rooms/" + url.PathEscape(string(room)) + rest
}

// CreateRoom creates a room. Its id is the code by which others join.
func (s *Session) CreateRoom(ctx context.Context, name string) (Room, error) {
	var r Room
	err := s.call(ctx, http.MethodPost, "/v1/rooms", map[string]string{"name": name}, &r)
	return r, err
}

// Rooms returns the user's rooms, those with the latest events first.
func (s *Session) Rooms(ctx context.Context) ([]Room, error) {
	var answer struct {
		Rooms []Room `json:"rooms"`
	}
	err := s.call(ctx, http.MethodGet, "/v1/rooms", nil, &answer)
	return answer.Rooms, err
}

// Room returns one of the user's rooms. Errors: NotFound, Forbidden.
func (s *Session) Room(ctx context.Context, room chat.RoomID) (Room, error) {
	var r Room
	err := s.call(ctx, http.MethodGet, roomPath(room, ""), nil, &r)
	return r, err
}

// RoomChange is a change of a room's settings. Nil fields remain unchanged.
type RoomChange struct {
	Name     *string       `json:"name,omitempty"`
	Topic    *string       `json:"topic,omitempty"`
	Joining  *chat.Joining `json:"joining,omitempty"`
	Posting  *chat.Posting `json:"posting,omitempty"`
	SlowMode *int          `json:"slowMode,omitempty"` // in seconds
}

// ChangeRoom changes a room's settings. Errors: Forbidden unless the user is an owner,
// Invalid.
func (s *Session) ChangeRoom(ctx context.Context, room chat.RoomID, change RoomChange) (Room, error) {
	var r Room
	err := s.call(ctx, http.MethodPatch, roomPath(room, ""), change, &r)
	return r, err
}

// RenameRoom changes a room's name. Errors: as [Session.ChangeRoom].
func (s *Session) RenameRoom(ctx context.Context, room chat.RoomID, name string) error {
	_, err := s.ChangeRoom(ctx, room, RoomChange{Name: &name})
	return err
}

// Preferences are the user's own settings of a room: what is not nil changes.
type Preferences struct {
	Notify   *chat.Notify `json:"notify,omitempty"`
	Favorite *bool        `json:"favorite,omitempty"`
}

// Prefer changes the user's own settings of a room. The user's connections get a
// [chat.RoomPreferred] event. Errors: Forbidden, NotFound, Invalid.
func (s *Session) Prefer(ctx context.Context, room chat.RoomID, p Preferences) (Room, error) {
	var r Room
	err := s.call(ctx, http.MethodPatch, roomPath(room, "/me"), p, &r)
	return r, err
}

// SetRole changes a member's role. Errors: Forbidden unless the user is an owner,
// NotFound, Conflict if the room would have no owner.
func (s *Session) SetRole(ctx context.Context, room chat.RoomID, user chat.UserID, role chat.Role) (Member, error) {
	return s.changeMember(ctx, room, user, map[string]any{"role": role})
}

// Mute keeps a plain member from writing until a time; the zero time ends it. Errors:
// Forbidden unless the user is an owner or a moderator, NotFound.
func (s *Session) Mute(ctx context.Context, room chat.RoomID, user chat.UserID, until time.Time) (Member, error) {
	if until.IsZero() {
		return s.changeMember(ctx, room, user, map[string]any{"mutedUntil": nil})
	}
	return s.changeMember(ctx, room, user, map[string]any{"mutedUntil": view.Time{Time: until}})
}

func (s *Session) changeMember(ctx context.Context, room chat.RoomID, user chat.UserID, change map[string]any) (Member, error) {
	var m Member
	err := s.call(ctx, http.MethodPatch, roomPath(room, "/members/"+url.PathEscape(string(user))), change, &m)
	return m, err
}

// Receipts are how far the members of a room have read; hidden in a large room.
type Receipts = view.Receipts

// Receipts are how far the active members of a room have read. Errors: NotFound, Forbidden.
func (s *Session) Receipts(ctx context.Context, room chat.RoomID) (Receipts, error) {
	var r Receipts
	err := s.call(ctx, http.MethodGet, roomPath(room, "/receipts"), nil, &r)
	return r, err
}

// Join makes the user a member, or accepts a pending invitation. Errors: NotFound.
func (s *Session) Join(ctx context.Context, room chat.RoomID) error {
	return s.call(ctx, http.MethodPost, roomPath(room, "/members"), struct{}{}, nil)
}

// Invite makes another user a member. If the other user does not know the user they
// have to consent first; see [Session.Invitations]. Errors: NotFound, Forbidden,
// TooMany.
func (s *Session) Invite(ctx context.Context, room chat.RoomID, user chat.UserID) error {
	return s.call(ctx, http.MethodPost, roomPath(room, "/members"), map[string]chat.UserID{"user": user}, nil)
}

// Invitation is an invitation that waits for the user's consent.
type Invitation = view.Invitation

// Invitations returns the pending invitations, latest first. [Session.Join] accepts
// one, and [Session.Decline] declines it.
func (s *Session) Invitations(ctx context.Context) ([]Invitation, error) {
	var answer struct {
		Invitations []Invitation `json:"invitations"`
	}
	err := s.call(ctx, http.MethodGet, "/v1/me/invitations", nil, &answer)
	return answer.Invitations, err
}

// Invite is an invitation by a code, as owners and moderators see it.
type Invite = view.Invite

// InviteOptions bound an invite; zero values do not.
type InviteOptions struct {
	ExpiresIn int `json:"expiresIn,omitempty"` // seconds
	Uses      int `json:"uses,omitempty"`      // how many may join by it
}

// CreateInvite makes an invitation by a code. Errors: Forbidden for plain members.
func (s *Session) CreateInvite(ctx context.Context, room chat.RoomID, o InviteOptions) (Invite, error) {
	var i Invite
	err := s.call(ctx, http.MethodPost, roomPath(room, "/invitations"), o, &i)
	return i, err
}

// Invites are a room's invitations by a code, latest first. Errors: as of CreateInvite.
func (s *Session) Invites(ctx context.Context, room chat.RoomID) ([]Invite, error) {
	var answer struct {
		Invitations []Invite `json:"invitations"`
	}
	err := s.call(ctx, http.MethodGet, roomPath(room, "/invitations"), nil, &answer)
	return answer.Invitations, err
}

// WithdrawInvite ends an invitation by a code. Errors: as of CreateInvite, NotFound.
func (s *Session) WithdrawInvite(ctx context.Context, room chat.RoomID, code string) error {
	return s.call(ctx, http.MethodDelete, roomPath(room, "/invitations/"+url.PathEscape(code)), nil, nil)
}

// Accept joins a room by an invitation's code. Errors: NotFound if it is used up,
// expired or withdrawn, Forbidden for who was removed since it was made.
func (s *Session) Accept(ctx context.Context, code string) (Room, error) {
	var r Room
	err := s.call(ctx, http.MethodPost, "/v1/invitations/"+url.PathEscape(code), struct{}{}, &r)
	return r, err
}

// Decline declines a pending invitation. Errors: NotFound if there is none.
func (s *Session) Decline(ctx context.Context, room chat.RoomID) error {
	return s.Remove(ctx, room, s.User.ID)
}

// Leave ends the user's membership.
func (s *Session) Leave(ctx context.Context, room chat.RoomID) error {
	return s.Remove(ctx, room, s.User.ID)
}

// Remove ends another user's membership. Errors: Forbidden for plain members.
func (s *Session) Remove(ctx context.Context, room chat.RoomID, user chat.UserID) error {
	return s.call(ctx, http.MethodDelete, roomPath(room, "/members/"+url.PathEscape(string(user))), nil, nil)
}

// Members returns a room's members.
func (s *Session) Members(ctx context.Context, room chat.RoomID) ([]Member, error) {
	var answer struct {
		Members []Member `json:"members"`
	}
	err := s.call(ctx, http.MethodGet, roomPath(room, "/members"), nil, &answer)
	return answer.Members, err
}

// Direct returns the one direct room with another user, and creates it if needed.
func (s *Session) Direct(ctx context.Context, user chat.UserID) (Room, error) {
	var r Room
	err := s.call(ctx, http.MethodPost, "/v1/direct", map[string]chat.UserID{"user": user}, &r)
	return r, err
}
