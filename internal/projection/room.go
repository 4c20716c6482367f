package projection

import (
	"time"

	"knatter.dev/chat"
)

// Room is what the log says about a room. Its name and its beginning change on
// their own, so each has its sequence.
type Room struct {
	Name    string        `json:"name" bson:"name"`
	Kind    chat.RoomKind `json:"kind" bson:"kind"`
	Created time.Time     `json:"created,omitzero" bson:"created"`

	NameAt    chat.Sequence `json:"nameAt,omitzero" bson:"nameAt"`
	CreatedAt chat.Sequence `json:"createdAt,omitzero" bson:"createdAt"` // of the first room.created
}

// roomOf is what one event says about a room.
func roomOf(e *chat.Event) (*Room, error) {
	var d chat.RoomData
	if err := e.Decode(&d); err != nil {
		return nil, err
	}
	r := &Room{Name: d.Name, NameAt: e.Sequence}
	if e.Type == chat.RoomCreated {
		r.Kind, r.Created, r.CreatedAt = d.Kind, e.Time, e.Sequence
	}
	return r, nil
}

// Merge adds what from knows and reports whether anything changed: the latest name,
// and the first beginning.
func (r *Room) Merge(from *Room) (changed bool) {
	if from.CreatedAt != 0 && (r.CreatedAt == 0 || from.CreatedAt < r.CreatedAt) {
		r.CreatedAt, r.Created, r.Kind = from.CreatedAt, from.Created, from.Kind
		changed = true
	}
	if later(&r.NameAt, from.NameAt) {
		r.Name = from.Name
		changed = true
	}
	return changed
}

// View is the room as functions see it.
func (r *Room) View(id chat.RoomID) chat.Room {
	room := chat.Room{ID: id, Name: r.Name, Kind: r.Kind, Sequence: r.NameAt}
	if r.Kind == "" {
		room.Kind = chat.Group
	}
	if r.CreatedAt != 0 {
		room.Created = r.Created
	}
	return room
}
