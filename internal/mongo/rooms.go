package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
)

// Rooms is the room store.
type Rooms struct {
	rooms   *mongo.Collection
	members *mongo.Collection
}

var _ chat.RoomStore = (*Rooms)(nil)

// roomDoc and memberDoc hold a sequence for each thing that events change on their
// own, so that what is left in the end does not depend on the order in which the
// events were applied. Above all: a change of nickname that was logged after a
// removal does not bring the member back.
//
// Merging what an event says into a document is therefore the same as merging any
// number of events, in any order and again: see merge.
type roomDoc struct {
	ID      chat.RoomID   `bson:"_id"`
	Name    string        `bson:"name"`
	Kind    chat.RoomKind `bson:"kind"`
	Created time.Time     `bson:"created"`

	NameAt    chat.Sequence `bson:"nameAt"`
	CreatedAt chat.Sequence `bson:"createdAt"` // of the first room.created
	Revision  int64         `bson:"revision"`
}

func (r *roomDoc) key() string     { return string(r.ID) }
func (r *roomDoc) revision() int64 { return r.Revision }

func (r *roomDoc) filter() bson.D { return bson.D{{Key: "_id", Value: r.ID}} }

func (r *roomDoc) merge(from *roomDoc) (changed bool) {
	if from.CreatedAt != 0 && (r.CreatedAt == 0 || from.CreatedAt < r.CreatedAt) {
		r.CreatedAt, r.Created, r.Kind = from.CreatedAt, from.Created, from.Kind
		changed = true
	}
	if from.NameAt > r.NameAt {
		r.NameAt, r.Name = from.NameAt, from.Name
		changed = true
	}
	return changed
}

func (r *roomDoc) fields() bson.D {
	return bson.D{
		{Key: "name", Value: r.Name}, {Key: "nameAt", Value: r.NameAt},
		{Key: "kind", Value: r.Kind}, {Key: "created", Value: r.Created}, {Key: "createdAt", Value: r.CreatedAt},
	}
}

func (r *roomDoc) room() chat.Room {
	kind := r.Kind
	if kind == "" {
		kind = chat.Group
	}
	room := chat.Room{ID: r.ID, Name: r.Name, Kind: kind, Sequence: r.NameAt}
	if r.CreatedAt != 0 {
		room.Created = r.Created
	}
	return room
}

// memberDoc may be there before its member is, with nothing but a read position:
// that has Sequence 0.
type memberDoc struct {
	ID       string      `bson:"_id"`
	Room     chat.RoomID `bson:"room"`
	User     chat.UserID `bson:"user"`
	Nickname string      `bson:"nickname"`
	Role     chat.Role   `bson:"role"`
	Active   bool        `bson:"active"`

	Sequence   chat.Sequence `bson:"sequence"`
	ActiveAt   chat.Sequence `bson:"activeAt"`
	NicknameAt chat.Sequence `bson:"nicknameAt"`
	RoleAt     chat.Sequence `bson:"roleAt"`
	Revision   int64         `bson:"revision"`

	Read chat.Sequence `bson:"read"` // only ever raised, by itself
}

func memberID(room chat.RoomID, user chat.UserID) string { return string(room) + " " + string(user) }

func (m *memberDoc) key() string     { return m.ID }
func (m *memberDoc) revision() int64 { return m.Revision }

func (m *memberDoc) filter() bson.D {
	return bson.D{{Key: "_id", Value: m.ID}, {Key: "room", Value: m.Room}}
}

func (m *memberDoc) merge(from *memberDoc) (changed bool) {
	newer := func(at *chat.Sequence, from chat.Sequence) bool {
		if from <= *at {
			return false
		}
		*at, changed = from, true
		return true
	}
	newer(&m.Sequence, from.Sequence)
	if newer(&m.ActiveAt, from.ActiveAt) {
		m.Active = from.Active
	}
	if newer(&m.NicknameAt, from.NicknameAt) {
		m.Nickname = from.Nickname
	}
	if newer(&m.RoleAt, from.RoleAt) {
		m.Role = from.Role
	}
	return changed
}

func (m *memberDoc) fields() bson.D {
	return bson.D{
		{Key: "user", Value: m.User}, {Key: "sequence", Value: m.Sequence},
		{Key: "active", Value: m.Active}, {Key: "activeAt", Value: m.ActiveAt},
		{Key: "nickname", Value: m.Nickname}, {Key: "nicknameAt", Value: m.NicknameAt},
		{Key: "role", Value: m.Role}, {Key: "roleAt", Value: m.RoleAt},
	}
}

func (m *memberDoc) membership() chat.Membership {
	return chat.Membership{
		Room: m.Room, User: m.User, Nickname: m.Nickname, Role: m.Role,
		Active: m.Active, Sequence: m.Sequence, Read: m.Read,
	}
}

// Apply implements [chat.RoomStore]. Errors: Invalid for an event that cannot be
// applied (nothing is then), TooLarge, Unavailable.
func (r *Rooms) Apply(ctx context.Context, events []chat.Event) error {
	var rooms merger[roomDoc, *roomDoc]
	var members merger[memberDoc, *memberDoc]
	var reads reads
	for i := range events {
		e := &events[i]
		if !kept(e) {
			continue
		}
		var err error
		switch {
		case e.Type == chat.RoomCreated, e.Type == chat.RoomUpdated:
			err = addRoom(&rooms, e)
		case e.Type.Member():
			err = addMember(&members, e)
		case e.Type == chat.ReadAdvanced:
			err = reads.add(e)
		}
		if err != nil {
			return err
		}
	}
	if err := rooms.apply(ctx, r.rooms); err != nil {
		return err
	}
	if err := members.apply(ctx, r.members); err != nil {
		return err
	}
	return reads.apply(ctx, r.members)
}

func placed(e *chat.Event) error {
	if !e.Stream.Valid() || e.Sequence <= 0 {
		return chat.Errorf(chat.Invalid, "the event has no room or no sequence")
	}
	return nil
}

func addRoom(to *merger[roomDoc, *roomDoc], e *chat.Event) error {
	var d chat.RoomData
	if err := placed(e); err != nil {
		return err
	}
	if err := e.Decode(&d); err != nil {
		return err
	}
	doc := roomDoc{ID: e.Stream, Name: d.Name, NameAt: e.Sequence}
	if e.Type == chat.RoomCreated {
		doc.Kind, doc.Created, doc.CreatedAt = d.Kind, e.Time, e.Sequence
	}
	to.add(doc)
	return nil
}

func addMember(to *merger[memberDoc, *memberDoc], e *chat.Event) error {
	var d chat.MemberData
	if err := placed(e); err != nil {
		return err
	}
	if err := e.Decode(&d); err != nil {
		return err
	}
	if !d.User.Valid() {
		return chat.Errorf(chat.Invalid, "data.user must be a user's id")
	}
	doc := memberDoc{ID: memberID(e.Stream, d.User), Room: e.Stream, User: d.User, Sequence: e.Sequence}
	if e.Type != chat.MemberUpdated {
		doc.Active, doc.ActiveAt = e.Type == chat.MemberJoined, e.Sequence
	}
	if d.Nickname != "" {
		doc.Nickname, doc.NicknameAt = d.Nickname, e.Sequence
	}
	if d.Role != "" {
		doc.Role, doc.RoleAt = d.Role, e.Sequence
	}
	to.add(doc)
	return nil
}

// Room implements [chat.RoomStore]. Errors: NotFound, Unavailable.
func (r *Rooms) Room(ctx context.Context, room chat.RoomID) (chat.Room, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := find[roomDoc](ctx, r.rooms, bson.D{{Key: "_id", Value: room}}, limited(1))
	if err != nil {
		return chat.Room{}, err
	}
	if len(found) == 0 {
		return chat.Room{}, chat.Errorf(chat.NotFound, "no such room")
	}
	return found[0].room(), nil
}

// Membership implements [chat.RoomStore]. Errors: NotFound, Unavailable.
func (r *Rooms) Membership(ctx context.Context, room chat.RoomID, user chat.UserID) (chat.Membership, error) {
	doc := memberDoc{ID: memberID(room, user), Room: room}
	found, err := r.memberships(ctx, doc.filter(), limited(1))
	if err != nil {
		return chat.Membership{}, err
	}
	if len(found) == 0 {
		return chat.Membership{}, chat.Errorf(chat.NotFound, "no such member")
	}
	return found[0], nil
}

// Members implements [chat.RoomStore]. Errors: Unavailable.
func (r *Rooms) Members(ctx context.Context, room chat.RoomID) ([]chat.Membership, error) {
	return r.memberships(ctx, bson.D{{Key: "room", Value: room}}, options.Find().SetSort(ascending("user")))
}

// RoomsOf implements [chat.RoomStore]. Errors: Unavailable.
func (r *Rooms) RoomsOf(ctx context.Context, user chat.UserID) ([]chat.Membership, error) {
	return r.memberships(ctx, bson.D{{Key: "user", Value: user}, {Key: "active", Value: true}}, options.Find().SetSort(ascending("room")))
}

func (r *Rooms) memberships(ctx context.Context, filter bson.D, opts *options.FindOptionsBuilder) (list []chat.Membership, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	docs, err := find[memberDoc](ctx, r.members, filter, opts)
	if err != nil {
		return nil, err
	}
	for i := range docs {
		if docs[i].Sequence > 0 {
			list = append(list, docs[i].membership())
		}
	}
	return list, nil
}
