// Package view has what the HTTP interface shows of each noun, so that a message, a
// room or a member looks the same wherever one is returned. The functions and the Go
// client share it, and a test holds it against connector/api/openapi.yaml.
package view

import "knatter.dev/chat"

// Room is a room as one of its members sees it.
type Room struct {
	ID          chat.RoomID   `json:"id"`
	Name        string        `json:"name"` // of a direct room: the other's nickname
	Kind        chat.RoomKind `json:"kind"`
	Role        chat.Role     `json:"role"`
	Sequence    chat.Sequence `json:"sequence"` // of the newest event
	Read        chat.Sequence `json:"read"`     // how far the member has read
	Unread      int           `json:"unread"`   // at most 9,999
	LastMessage *Message      `json:"lastMessage,omitempty"`
}

// Member is a member as the others in the room see it.
type Member struct {
	User     chat.UserID `json:"user"`
	Nickname string      `json:"nickname"`
	Role     chat.Role   `json:"role"`
}

// MemberOf returns the view of a membership.
func MemberOf(m chat.Membership) Member {
	return Member{User: m.User, Nickname: m.Nickname, Role: m.Role}
}

// User is a person as others see them.
type User struct {
	ID       chat.UserID `json:"id"`
	Nickname string      `json:"nickname"`
}

// Invitation is one that waits for a user's consent.
type Invitation struct {
	Room chat.RoomID `json:"room"`
	Name string      `json:"name"` // the room's
	By   User        `json:"by"`
	Time Time        `json:"time"`
}
