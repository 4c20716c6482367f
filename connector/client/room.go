package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/view"
)

// Room is a room as its members see it. A room that was just made has no sequence yet.
type Room = view.Room

// Member is a member of a room.
type Member = view.Member

func roomPath(room chat.RoomID, rest string) string {
	return "/v1/rooms/" + url.PathEscape(string(room)) + rest
}

// CreateRoom creates a room; its id is the code by which others join.
func (s *Session) CreateRoom(ctx context.Context, name string) (Room, error) {
	var r Room
	err := s.call(ctx, http.MethodPost, "/v1/rooms", map[string]string{"name": name}, &r)
	return r, err
}

// Rooms are the user's rooms, those with the latest events first.
func (s *Session) Rooms(ctx context.Context) ([]Room, error) {
	var answer struct {
		Rooms []Room `json:"rooms"`
	}
	err := s.call(ctx, http.MethodGet, "/v1/rooms", nil, &answer)
	return answer.Rooms, err
}

// Room is one of the user's rooms. Errors: NotFound, Forbidden.
func (s *Session) Room(ctx context.Context, room chat.RoomID) (Room, error) {
	var r Room
	err := s.call(ctx, http.MethodGet, roomPath(room, ""), nil, &r)
	return r, err
}

// RoomChange is what changes of a room: what is not nil, and each on its own.
type RoomChange struct {
	Name     *string       `json:"name,omitempty"`
	Topic    *string       `json:"topic,omitempty"`
	Joining  *chat.Joining `json:"joining,omitempty"`
	Posting  *chat.Posting `json:"posting,omitempty"`
	SlowMode *int          `json:"slowMode,omitempty"` // in seconds
}

// ChangeRoom changes a room's settings. Errors: Forbidden unless its owner asks, Invalid.
func (s *Session) ChangeRoom(ctx context.Context, room chat.RoomID, change RoomChange) (Room, error) {
	var r Room
	err := s.call(ctx, http.MethodPatch, roomPath(room, ""), change, &r)
	return r, err
}

// RenameRoom changes a room's name. Errors: as of ChangeRoom.
func (s *Session) RenameRoom(ctx context.Context, room chat.RoomID, name string) error {
	_, err := s.ChangeRoom(ctx, room, RoomChange{Name: &name})
	return err
}

// SetRole gives a member another role. Errors: Forbidden unless an owner asks, NotFound,
// Conflict if the room would have no owner.
func (s *Session) SetRole(ctx context.Context, room chat.RoomID, user chat.UserID, role chat.Role) (Member, error) {
	return s.changeMember(ctx, room, user, map[string]any{"role": role})
}

// Mute keeps a plain member from writing until a time; the zero time ends it. Errors:
// Forbidden unless an owner or a moderator asks, NotFound.
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

// Join makes the user a member, also by an invitation that waits. Errors: NotFound.
func (s *Session) Join(ctx context.Context, room chat.RoomID) error {
	return s.call(ctx, http.MethodPost, roomPath(room, "/members"), struct{}{}, nil)
}

// Invite makes another user a member. Whoever does not know the user has to consent
// first: see [Session.Invitations]. Errors: NotFound, Forbidden, TooMany.
func (s *Session) Invite(ctx context.Context, room chat.RoomID, user chat.UserID) error {
	return s.call(ctx, http.MethodPost, roomPath(room, "/members"), map[string]chat.UserID{"user": user}, nil)
}

// Invitation is one that waits for the user's consent.
type Invitation = view.Invitation

// Invitations are those that wait for the user's consent, latest first. Join accepts
// one, Decline declines it.
func (s *Session) Invitations(ctx context.Context) ([]Invitation, error) {
	var answer struct {
		Invitations []Invitation `json:"invitations"`
	}
	err := s.call(ctx, http.MethodGet, "/v1/me/invitations", nil, &answer)
	return answer.Invitations, err
}

// Decline ends an invitation that waits. Errors: NotFound when none does.
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

// Members are a room's members.
func (s *Session) Members(ctx context.Context, room chat.RoomID) ([]Member, error) {
	var answer struct {
		Members []Member `json:"members"`
	}
	err := s.call(ctx, http.MethodGet, roomPath(room, "/members"), nil, &answer)
	return answer.Members, err
}

// Direct is the one direct room with another user, made when there is none.
func (s *Session) Direct(ctx context.Context, user chat.UserID) (Room, error) {
	var r Room
	err := s.call(ctx, http.MethodPost, "/v1/direct", map[string]chat.UserID{"user": user}, &r)
	return r, err
}
