package client

import (
	"context"
	"net/http"
	"net/url"

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

// RenameRoom changes a room's name. Errors: Forbidden unless its owner asks.
func (s *Session) RenameRoom(ctx context.Context, room chat.RoomID, name string) error {
	return s.call(ctx, http.MethodPatch, roomPath(room, ""), map[string]string{"name": name}, nil)
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
