package projection

import (
	"time"

	"knatter.dev/chat"
)

// Room is what the log says about a room. Its beginning and each of its settings
// change on their own, so each has its sequence.
type Room struct {
	Name    string        `json:"name" bson:"name"`
	Kind    chat.RoomKind `json:"kind" bson:"kind"`
	Created time.Time     `json:"created,omitzero" bson:"created"`

	Topic    Latest[string]       `json:"topic,omitzero" bson:"topic"`
	Joining  Latest[chat.Joining] `json:"joining,omitzero" bson:"joining"`
	Posting  Latest[chat.Posting] `json:"posting,omitzero" bson:"posting"`
	SlowMode Latest[int]          `json:"slowMode,omitzero" bson:"slowMode"` // in seconds

	NameAt    chat.Sequence `json:"nameAt,omitzero" bson:"nameAt"`
	CreatedAt chat.Sequence `json:"createdAt,omitzero" bson:"createdAt"` // of the first room.created
}

// roomOf is what one event says about a room.
func roomOf(e *chat.Event) (*Room, error) {
	var d chat.RoomData
	if err := e.Decode(&d); err != nil {
		return nil, err
	}
	r := new(Room)
	if d.Names() {
		r.Name, r.NameAt = d.Name, e.Sequence
	}
	if d.Topic != nil {
		r.Topic = Latest[string]{*d.Topic, e.Sequence}
	}
	if d.Joining != "" {
		r.Joining = Latest[chat.Joining]{d.Joining, e.Sequence}
	}
	if d.Posting != "" {
		r.Posting = Latest[chat.Posting]{d.Posting, e.Sequence}
	}
	if d.SlowMode != nil {
		r.SlowMode = Latest[int]{*d.SlowMode, e.Sequence}
	}
	if e.Type == chat.RoomCreated {
		r.Kind, r.Created, r.CreatedAt = d.Kind, e.Time, e.Sequence
	}
	return r, nil
}

// Merge adds what from knows and reports whether anything changed: the latest of each
// setting, and the first beginning.
func (r *Room) Merge(from *Room) (changed bool) {
	if from.CreatedAt != 0 && (r.CreatedAt == 0 || from.CreatedAt < r.CreatedAt) {
		r.CreatedAt, r.Created, r.Kind = from.CreatedAt, from.Created, from.Kind
		changed = true
	}
	if later(&r.NameAt, from.NameAt) {
		r.Name = from.Name
		changed = true
	}
	changed = r.Topic.merge(from.Topic) || changed
	changed = r.Joining.merge(from.Joining) || changed
	changed = r.Posting.merge(from.Posting) || changed
	return r.SlowMode.merge(from.SlowMode) || changed
}

// View is the room as functions see it.
func (r *Room) View(id chat.RoomID) chat.Room {
	room := chat.Room{
		ID: id, Name: r.Name, Kind: r.Kind,
		Topic: r.Topic.Is, Joining: r.Joining.Is, Posting: r.Posting.Is, SlowMode: time.Duration(r.SlowMode.Is) * time.Second,
		Sequence: max(r.NameAt, r.Topic.At, r.Joining.At, r.Posting.At, r.SlowMode.At),
	}
	if r.Kind == "" {
		room.Kind = chat.Group
	}
	if r.CreatedAt != 0 {
		room.Created = r.Created
	}
	return room
}
