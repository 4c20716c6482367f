package chat

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Event is a CloudEvent of Knatter, in the form that all parts share. The zero
// values of optional attributes mean that they are absent.
type Event struct {
	ID          string            // idempotency key, unique per source
	Source      string            // "/users/{user}", set by the connector from the verified token
	Type        Type              //
	Room        RoomID            // CloudEvents subject; the stream's id where no room is concerned
	Stream      StreamID          // CloudEvents partitionkey: the record key, Room or a user's own stream
	Time        time.Time         // UTC, milliseconds
	Sequence    Sequence          // place in the stream; 0 until logged
	TraceParent string            // W3C trace context
	Extensions  map[string]string // any other CloudEvents attributes, passed on as they came
	Data        json.RawMessage   // JSON
	Origin      *Origin           // of an event that is handled; nil where it is not known, and never passed on
}

// Kept reports whether the event store keeps the event: it is a room's, and one that
// people see.
func (e *Event) Kept() bool {
	return !e.Stream.Own() && e.Type.kept()
}

// Addressed reports whether the event says in the proper form which stream it is of,
// and what it is about.
func (e *Event) Addressed() bool { return e.Stream.Valid() && StreamID(e.Room).Valid() }

// About is the sequence of the message that the event is about; 0 if it is about none,
// or its data does not say.
func (e *Event) About() Sequence {
	row := rows[e.Type]
	if row == nil || !row.about {
		return 0
	}
	var d About
	if e.Decode(&d) != nil || d.Message < 0 {
		return 0
	}
	return d.Message
}

// Refers reports whether the event refers to something in its room, so that only who
// knows the room can say whether it may be logged: it is about a message, or replies to
// one, or mentions somebody.
func (e *Event) Refers() bool {
	if e.Type.About() {
		return true
	}
	if e.Type != MessagePosted {
		return false
	}
	if _, ok := quotedText(e.Data); ok { // as nearly all are
		return false
	}
	var d Posted
	return e.Decode(&d) == nil && (d.ReplyTo != 0 || len(d.Mentions) > 0)
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
	return NewStreamEvent(id, user, typ, room.Stream(), data)
}

// NewStreamEvent is as NewEvent, on a stream that may be a user's own.
func NewStreamEvent(id string, user UserID, typ Type, stream StreamID, data any) (Event, error) {
	raw, err := Marshal(data)
	if err != nil {
		return Event{}, fmt.Errorf("data of %s: %w", typ.Short(), err)
	}
	return Event{ID: id, Source: SourceOf(user), Type: typ, Room: RoomID(stream), Stream: stream, Time: Now(), Data: raw}, nil
}
