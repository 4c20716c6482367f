package chat

import "strings"

// Type is a CloudEvents type with the prefix [Prefix].
type Type string

// Prefix begins every type.
const Prefix = "dev.knatter."

// Room events: in the room's log, ordered, durable, replayable.
const (
	MessagePosted   Type = Prefix + "message.posted"
	MessageEdited   Type = Prefix + "message.edited"
	MessageDeleted  Type = Prefix + "message.deleted"
	MessagePinned   Type = Prefix + "message.pinned"
	MessageUnpinned Type = Prefix + "message.unpinned"
	ReactionAdded   Type = Prefix + "reaction.added"
	ReactionRemoved Type = Prefix + "reaction.removed"
	MemberJoined    Type = Prefix + "member.joined"
	MemberLeft      Type = Prefix + "member.left"
	MemberRemoved   Type = Prefix + "member.removed"
	MemberUpdated   Type = Prefix + "member.updated"
	RoomCreated     Type = Prefix + "room.created"
	RoomUpdated     Type = Prefix + "room.updated"
	ReadAdvanced    Type = Prefix + "read.advanced"
)

// Events of the log that no client ever sees.
const (
	MemberPreferred Type = Prefix + "member.preferred" // a user's own settings of a room
	MemberInvited   Type = Prefix + "member.invited"   // by a stranger: waits for the user's consent
	MemberDeclined  Type = Prefix + "member.declined"  // an invitation: by the user, or withdrawn
	RouteOpened     Type = Prefix + "route.opened"     // a connector has its first subscriber of a room
	RouteClosed     Type = Prefix + "route.closed"     // a connector has none any more
	SessionRevoked  Type = Prefix + "session.revoked"  // on a user's stream: a login was ended
)

// Signals: delivered to whoever is there, never stored, without a sequence.
const (
	TypingStarted Type = Prefix + "typing.started" // a member writes something
)

// Types of the frames between a client and a connector; never logged.
const (
	SessionOpen      Type = Prefix + "session.open"
	SessionOpened    Type = Prefix + "session.opened"
	RoomSubscribe    Type = Prefix + "room.subscribe"
	RoomUnsubscribe  Type = Prefix + "room.unsubscribe"
	RoomSubscribed   Type = Prefix + "room.subscribed"
	RoomUnsubscribed Type = Prefix + "room.unsubscribed"
	RoomPreferred    Type = Prefix + "room.preferred" // to the user's sessions, after member.preferred
	Ack              Type = Prefix + "ack"
	Refused          Type = Prefix + "error"
)

// Short is the type without [Prefix].
func (t Type) Short() string { return strings.TrimPrefix(string(t), Prefix) }

// EventType is a row of [EventTypes]: what there is to know of a type of event before
// anybody makes something of it.
type EventType struct {
	Type   Type
	Sender Sender
	Signal bool // delivered to whoever is there: never logged, without a sequence
	Hidden bool // the system's own: never shown to clients

	data   func() data // makes its data's struct; nil for a type that has no data
	wanted wanted      // by which functions
	member bool        // the data is MemberData
	about  bool        // the data says of which message the event is
}

// EventTypes is the table of the types of events. A new type is a row here, and a
// struct in data.go if none of those fits.
var EventTypes = []EventType{
	{Type: MessagePosted, Sender: ByClient, data: of[Posted], wanted: byPersist | byIndex},
	{Type: MessageEdited, Sender: ByClient, data: of[Edited], wanted: byPersist | byIndex},
	{Type: MessageDeleted, Sender: ByClient, data: of[About], wanted: byPersist | byIndex},
	{Type: MessagePinned, Sender: ByClient, data: of[About], wanted: byPersist},
	{Type: MessageUnpinned, Sender: ByClient, data: of[About], wanted: byPersist},
	{Type: ReactionAdded, Sender: ByClient, data: of[Reaction], wanted: byPersist},
	{Type: ReactionRemoved, Sender: ByClient, data: of[Reaction], wanted: byPersist},
	{Type: MemberJoined, Sender: ByFunction, data: of[MemberData], wanted: byPersist},
	{Type: MemberLeft, Sender: ByFunction, data: of[MemberData], wanted: byPersist},
	{Type: MemberRemoved, Sender: ByFunction, data: of[MemberData], wanted: byPersist},
	{Type: MemberUpdated, Sender: ByFunction, data: of[MemberData], wanted: byPersist},
	{Type: RoomCreated, Sender: ByFunction, data: of[RoomData], wanted: byPersist},
	{Type: RoomUpdated, Sender: ByFunction, data: of[RoomData], wanted: byPersist},
	{Type: ReadAdvanced, Sender: ByClient, data: of[ReadData], wanted: byPersist},
	{Type: MemberInvited, Sender: ByFunction, Hidden: true, data: of[MemberData], wanted: byPersist},
	{Type: MemberDeclined, Sender: ByFunction, Hidden: true, data: of[MemberData], wanted: byPersist},
	{Type: MemberPreferred, Sender: ByFunction, Hidden: true, data: of[MemberData], wanted: byPersist},
	{Type: RouteOpened, Sender: ByConnector, Hidden: true, data: of[RouteData]},
	{Type: RouteClosed, Sender: ByConnector, Hidden: true, data: of[RouteData]},
	{Type: SessionRevoked, Sender: ByFunction, Hidden: true, data: of[RevokedData]},
	{Type: TypingStarted, Sender: ByClient, Signal: true},
}

// Sender says who sends events of a type.
type Sender int

// The senders.
const (
	ByClient   Sender = iota // a user, over a socket or by POST /v1/events
	ByFunction               // for a user, who asked for what the event says
	ByConnector
)

// wanted says which functions are given events of a type. Fan-out, which is not
// among them, is given all that is logged.
type wanted int

const (
	byPersist wanted = 1 << iota
	byIndex
)

// rows are the table's rows by type.
var rows = func() map[Type]*EventType {
	byType := make(map[Type]*EventType, len(EventTypes))
	for i := range EventTypes {
		row := &EventTypes[i]
		_, row.member = row.Data().(*MemberData)
		_, row.about = row.Data().(about)
		byType[row.Type] = row
	}
	return byType
}()

// typesFor are the types that a function is given.
func typesFor(function wanted) (types []Type) {
	for _, row := range EventTypes {
		if row.wanted&function != 0 {
			types = append(types, row.Type)
		}
	}
	return types
}

// Data returns a new struct for the data of an event of the type, to decode into; nil
// for a type that has none.
func (t *EventType) Data() any {
	if t.data == nil {
		return nil
	}
	return t.data()
}

// Hidden reports whether events of this type are the system's own and never shown to
// clients.
func (t Type) Hidden() bool {
	row := rows[t]
	return row != nil && row.Hidden
}

// Signal reports whether events of this type are signals.
func (t Type) Signal() bool {
	row := rows[t]
	return row != nil && row.Signal
}

// Member reports whether the type is one of the member events.
func (t Type) Member() bool {
	row := rows[t]
	return row != nil && row.member
}

// About reports whether events of this type are about a message: an edit, a deletion, a
// reaction, a pin. See [Event.About].
func (t Type) About() bool {
	row := rows[t]
	return row != nil && row.about
}

// kept reports whether the stores keep rooms' events of the type. They also keep what
// this version doesn't know.
func (t Type) kept() bool {
	row := rows[t]
	return row == nil || !row.Hidden && !row.Signal
}
