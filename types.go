package chat

import "strings"

// Type is a CloudEvents type with the prefix [Prefix].
type Type string

// Prefix begins every type.
const Prefix = "dev.knatter."

// Room events: in the room's log, ordered, durable, replayable.
const (
	MessagePosted Type = Prefix + "message.posted"
	MemberJoined  Type = Prefix + "member.joined"
	MemberLeft    Type = Prefix + "member.left"
	MemberRemoved Type = Prefix + "member.removed"
	MemberUpdated Type = Prefix + "member.updated"
	RoomCreated   Type = Prefix + "room.created"
	RoomUpdated   Type = Prefix + "room.updated"
	ReadAdvanced  Type = Prefix + "read.advanced"
)

// Events of the log that no client ever sees.
const (
	MemberInvited  Type = Prefix + "member.invited"  // by a stranger: waits for the user's consent
	MemberDeclined Type = Prefix + "member.declined" // an invitation: by the user, or withdrawn
	RouteOpened    Type = Prefix + "route.opened"    // a connector has its first subscriber of a room
	RouteClosed    Type = Prefix + "route.closed"    // a connector has none any more
	SessionRevoked Type = Prefix + "session.revoked" // on a user's stream: a login was ended
)

// Types of the frames between a client and a connector; never logged.
const (
	SessionOpen      Type = Prefix + "session.open"
	SessionOpened    Type = Prefix + "session.opened"
	RoomSubscribe    Type = Prefix + "room.subscribe"
	RoomUnsubscribe  Type = Prefix + "room.unsubscribe"
	RoomSubscribed   Type = Prefix + "room.subscribed"
	RoomUnsubscribed Type = Prefix + "room.unsubscribed"
	Ack              Type = Prefix + "ack"
	Refused          Type = Prefix + "error"
)

// Short is the type without [Prefix].
func (t Type) Short() string { return strings.TrimPrefix(string(t), Prefix) }

// Hidden tells whether events of this type are the system's own and never shown
// to clients.
func (t Type) Hidden() bool {
	switch t {
	case RouteOpened, RouteClosed, SessionRevoked, MemberInvited, MemberDeclined:
		return true
	}
	return false
}

// Member tells whether the type is one of the member events.
func (t Type) Member() bool { return strings.HasPrefix(string(t), Prefix+"member.") }
