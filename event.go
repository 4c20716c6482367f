package chat

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

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

// Event is a CloudEvent of Knatter, in the form that all parts share. The zero
// values of optional attributes mean that they are absent.
type Event struct {
	ID          string            // idempotency key, unique per source
	Source      string            // "/users/{user}", set by the connector from the verified token
	Type        Type              //
	Room        RoomID            // CloudEvents subject
	Stream      RoomID            // CloudEvents partitionkey: the record key, Room or a user's own stream
	Time        time.Time         // UTC, milliseconds
	Sequence    Sequence          // place in the stream; 0 until logged
	TraceParent string            // W3C trace context
	Extensions  map[string]string // any other CloudEvents attributes, passed on as they came
	Data        json.RawMessage   // JSON
	Origin      *Origin           // of an event that is handled; nil where it is not known, and never passed on
}

// Kept reports whether the stores keep the event: it is a room's, and one that people
// see.
func (e *Event) Kept() bool {
	_, own := e.Stream.Stream()
	return !own && !e.Type.Hidden()
}

const userSource = "/users/"

// SourceOf is the source of events that user sends.
func SourceOf(user UserID) string { return userSource + string(user) }

// User is the user that sent the event, "" when the source is not a user.
func (e *Event) User() UserID {
	user, ok := strings.CutPrefix(e.Source, userSource)
	if !ok {
		return ""
	}
	return UserID(user)
}

// Decode reads the event's data into v, a pointer to one of the data structs, as
// [Unmarshal] does. Errors: Invalid.
func (e *Event) Decode(v any) error {
	if len(e.Data) == 0 {
		return Errorf(Invalid, "%s needs data", e.Type.Short())
	}
	if posted, ok := v.(*Posted); ok {
		if text, ok := onlyText(e.Data); ok {
			posted.Text = string(text)
			return nil
		}
	}
	if err := Unmarshal(e.Data, v); err != nil {
		return Errorf(Invalid, "data of %s: %w", e.Type.Short(), err)
	}
	return nil
}

// NewEvent is an event of user in room, with data as one of the data structs;
// the stream is the room's, the time now.
func NewEvent(id string, user UserID, typ Type, room RoomID, data any) (Event, error) {
	raw, err := marshal(data)
	if err != nil {
		return Event{}, fmt.Errorf("data of %s: %w", typ.Short(), err)
	}
	return Event{ID: id, Source: SourceOf(user), Type: typ, Room: room, Stream: room, Time: Now(), Data: raw}, nil
}

// Sequence is an event's place in its room: generation << 48 | offset of the
// record in the log, below 2^53. It rises strictly within a room, with gaps. In
// JSON and in headers it is 16 decimal digits, zero-padded. 0 is before every
// event: the first record of each partition is never a room's.
type Sequence int64

const (
	offsetBits  = 48
	maxSequence = Sequence(1)<<53 - 1
)

// SequenceAt is the sequence of the record at offset in a log generation
// (0 to 31).
func SequenceAt(generation int, offset int64) Sequence {
	return Sequence(generation)<<offsetBits | Sequence(offset)
}

// Offset is the record's offset in its partition.
func (s Sequence) Offset() int64 { return int64(s) & (1<<offsetBits - 1) }

// Generation is the log generation that the sequence belongs to.
func (s Sequence) Generation() int { return int(s >> offsetBits) }

// String is the sequence in 16 decimal digits.
func (s Sequence) String() string { return string(s.append(make([]byte, 0, 16))) }

func (s Sequence) append(dst []byte) []byte {
	var digits [20]byte
	d := strconv.AppendInt(digits[:0], int64(s), 10)
	for range 16 - len(d) {
		dst = append(dst, '0')
	}
	return append(dst, d...)
}

// ParseSequence reads 16 decimal digits. Errors: Invalid.
func ParseSequence(s string) (Sequence, error) {
	if len(s) == 16 {
		n, err := strconv.ParseUint(s, 10, 64)
		if err == nil && Sequence(n) <= maxSequence {
			return Sequence(n), nil
		}
	}
	return 0, Errorf(Invalid, "a sequence has 16 decimal digits and is below 2^53")
}

// MarshalText implements encoding.TextMarshaler.
func (s Sequence) MarshalText() ([]byte, error) { return s.append(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors: Invalid.
func (s *Sequence) UnmarshalText(b []byte) error {
	n, err := ParseSequence(string(b))
	if err != nil {
		return err
	}
	*s = n
	return nil
}
