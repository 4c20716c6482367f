// Package view has what the HTTP interface shows of each noun, so that a message, a
// room or a member looks the same wherever one is returned. The functions and the Go
// client share it, and a test holds it against connector/api/openapi.yaml.
package view

import (
	"cmp"
	"time"

	"knatter.dev/chat"
)

// Room is a room as one of its members sees it.
type Room struct {
	ID          chat.RoomID   `json:"id"`
	Name        string        `json:"name"` // of a direct room: the other's nickname
	Kind        chat.RoomKind `json:"kind"`
	Topic       string        `json:"topic"`
	Joining     chat.Joining  `json:"joining"`
	Posting     chat.Posting  `json:"posting"`
	SlowMode    int           `json:"slowMode"` // seconds from one message of a plain member to the next
	Role        chat.Role     `json:"role"`
	Members     int           `json:"members"`        // how many are in it
	Notify      chat.Notify   `json:"notify"`         // what the member wants to be told of
	Favorite    bool          `json:"favorite"`       // of the member
	Peer        *User         `json:"peer,omitempty"` // the other one of a direct room
	Sequence    chat.Sequence `json:"sequence"`       // of the newest event
	Read        chat.Sequence `json:"read"`           // how far the member has read
	Unread      int           `json:"unread"`         // at most 9,999
	Mentions    int           `json:"mentions"`       // unread messages that mention the member, or everyone; at most 9,999
	LastMessage *Message      `json:"lastMessage,omitempty"`
}

// RoomOf returns the view of a room that a member has, without what events say of it.
func RoomOf(r chat.Room, self chat.Membership) Room {
	return Room{
		ID: r.ID, Name: r.Name, Kind: r.Kind, Topic: r.Topic,
		Joining: cmp.Or(r.Joining, chat.JoinByCode), Posting: cmp.Or(r.Posting, chat.PostEveryone),
		SlowMode: int(r.SlowMode / time.Second),
		Role:     self.Role, Read: self.Read,
		Notify: cmp.Or(self.Notify, chat.NotifyAll), Favorite: self.Favorite,
	}
}

// Member is a member as the others in the room see it.
type Member struct {
	User     chat.UserID `json:"user"`
	Nickname string      `json:"nickname"`
	Role     chat.Role   `json:"role"`

	MutedUntil *Time `json:"mutedUntil,omitempty"` // while that is to come
}

// MemberOf returns the view of a membership.
func MemberOf(m chat.Membership) Member {
	v := Member{User: m.User, Nickname: m.Nickname, Role: m.Role}
	if m.Muted(chat.Now()) {
		v.MutedUntil = &Time{Time: m.MutedUntil}
	}
	return v
}

// Receipt is how far an active member has read; 0 if nothing of this stay.
type Receipt struct {
	User chat.UserID   `json:"user"`
	UpTo chat.Sequence `json:"upTo"`
}

// Receipts are those of a room; hidden in a large one.
type Receipts struct {
	Hidden   bool      `json:"hidden,omitempty"`
	Receipts []Receipt `json:"receipts"` // by user
}

// ReceiptsOf returns the view of a room's memberships, some of which may not be active;
// hidden if more than most are.
func ReceiptsOf(room []chat.Membership, most int) Receipts {
	list := make([]Receipt, 0, len(room))
	for _, m := range room {
		if m.Active {
			list = append(list, Receipt{User: m.User, UpTo: m.Read})
		}
	}
	if len(list) > most {
		return Receipts{Hidden: true, Receipts: []Receipt{}}
	}
	return Receipts{Receipts: list}
}

// User is a person as others see them.
type User struct {
	ID       chat.UserID `json:"id"`
	Nickname string      `json:"nickname"`
}

// Invite is an invitation by a code, as owners and moderators see it.
type Invite struct {
	Code    string `json:"code"`
	Expires *Time  `json:"expires,omitempty"`
	Uses    int    `json:"uses,omitempty"` // how many may join by it; none: any number
	Used    int    `json:"used"`
	By      User   `json:"by"`
}

// InviteOf returns the view of an invite that a member made.
func InviteOf(i chat.Invite, by chat.Membership) Invite {
	v := Invite{Code: i.Code, Uses: i.Uses, Used: i.Used, By: User{ID: i.By, Nickname: by.Nickname}}
	if !i.Expires.IsZero() {
		v.Expires = &Time{Time: i.Expires}
	}
	return v
}

// Invitation is one that waits for a user's consent.
type Invitation struct {
	Room chat.RoomID `json:"room"`
	Name string      `json:"name"` // the room's
	By   User        `json:"by"`
	Time Time        `json:"time"`
}
