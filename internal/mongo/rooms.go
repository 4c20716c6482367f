package mongo

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// Rooms keeps the states of rooms and members.
type Rooms struct {
	rooms   *mongo.Collection
	members *mongo.Collection
	counts  *mongo.Collection
	marks   *marks
}

var _ projection.States = (*Rooms)(nil)

// roomDoc is a room's state.
type roomDoc struct {
	ID       chat.RoomID     `bson:"_id"`
	State    projection.Room `bson:"inline"`
	Revision int64           `bson:"revision"`
}

func (r *roomDoc) key() string     { return string(r.ID) }
func (r *roomDoc) revision() int64 { return r.Revision }

func (r *roomDoc) filter() bson.D { return bson.D{{Key: "_id", Value: r.ID}} }

func (r *roomDoc) merge(from *roomDoc) (changed bool) { return r.State.Merge(&from.State) }

func (r *roomDoc) fields() (bson.D, error) { return fieldsOf(&r.State) }

// memberDoc is a member's state and read mark, and what of the state is searched for.
// It may be there before its member is, with nothing but a read mark.
type memberDoc struct {
	ID       string            `bson:"_id"`
	Room     chat.RoomID       `bson:"room"`
	User     chat.UserID       `bson:"user"`
	State    projection.Member `bson:"inline"`
	Active   bool              `bson:"active"`
	Pending  bool              `bson:"pending"`
	Owner    bool              `bson:"owner"`
	Revision int64             `bson:"revision"`

	Read chat.Sequence `bson:"read"` // only ever raised, by itself
}

func memberID(room chat.RoomID, user chat.UserID) string { return string(room) + " " + string(user) }

// newMember is a member's document with a state.
func newMember(room chat.RoomID, user chat.UserID, state projection.Member) memberDoc {
	m := memberDoc{ID: memberID(room, user), Room: room, User: user, State: state}
	m.derive()
	return m
}

func (m *memberDoc) derive() {
	m.Active, m.Pending, m.Owner = m.State.Active(), m.State.Pending(), m.State.Owns()
}

func (m *memberDoc) key() string     { return m.ID }
func (m *memberDoc) revision() int64 { return m.Revision }

func (m *memberDoc) filter() bson.D {
	return bson.D{{Key: "_id", Value: m.ID}, {Key: "room", Value: m.Room}}
}

func (m *memberDoc) merge(from *memberDoc) (changed bool) {
	changed = m.State.Merge(&from.State)
	m.derive()
	return changed
}

func (m *memberDoc) fields() (bson.D, error) {
	state, err := fieldsOf(&m.State)
	return append(state, bson.E{Key: "user", Value: m.User},
		bson.E{Key: "active", Value: m.Active}, bson.E{Key: "pending", Value: m.Pending}, bson.E{Key: "owner", Value: m.Owner}), err
}

func (m *memberDoc) relation() projection.Relation {
	return projection.Relation{Room: m.Room, User: m.User, Member: m.State, Mark: m.Read}
}

// Apply implements [projection.States]. Errors: Invalid for an event that cannot be
// applied (nothing is then), TooLarge, Unavailable.
func (r *Rooms) Apply(ctx context.Context, events []chat.Event) error {
	var rooms merger[roomDoc, *roomDoc]
	var members merger[memberDoc, *memberDoc]
	var reads reads
	var moved moves
	var changed []chat.RoomID // who is in them
	for i := range events {
		moved.add(events[i].Origin, events[i].Sequence)
		c, ok, err := projection.Of(&events[i])
		switch {
		case err != nil:
			return err
		case !ok:
		case c.Room != nil:
			rooms.add(roomDoc{ID: c.RoomID, State: *c.Room})
		case c.Member != nil:
			members.add(newMember(c.RoomID, c.User, *c.Member))
			if c.Member.Joined != 0 || c.Member.Ended != 0 {
				changed = append(changed, c.RoomID)
			}
		default:
			reads.add(c.RoomID, c.User, c.Mark)
		}
	}
	if err := rooms.apply(ctx, r.rooms); err != nil {
		return err
	}
	if err := members.apply(ctx, r.members); err != nil {
		return err
	}
	if err := r.recount(ctx, changed); err != nil {
		return err
	}
	if err := reads.apply(ctx, r.members); err != nil {
		return err
	}
	return r.marks.note(ctx, moved)
}

// State implements [projection.States]. Errors: Unavailable.
func (r *Rooms) State(ctx context.Context, room chat.RoomID) (projection.Room, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := find[roomDoc](ctx, r.rooms, bson.D{{Key: "_id", Value: room}}, limited(1))
	if err != nil || len(found) == 0 {
		return projection.Room{}, false, err
	}
	return found[0].State, true, nil
}

// Relation implements [projection.States]. Errors: Unavailable.
func (r *Rooms) Relation(ctx context.Context, room chat.RoomID, user chat.UserID) (projection.Relation, error) {
	doc := memberDoc{ID: memberID(room, user), Room: room, User: user}
	found, err := r.relations(ctx, doc.filter(), limited(1))
	if err != nil || len(found) == 0 {
		return doc.relation(), err
	}
	return found[0], nil
}

// Relations implements [projection.States]. Errors: Unavailable.
func (r *Rooms) Relations(ctx context.Context, room chat.RoomID) ([]projection.Relation, error) {
	return r.relations(ctx, bson.D{{Key: "room", Value: room}}, options.Find().SetSort(ascending("user")))
}

// ActiveOf implements [projection.States]. Errors: Unavailable.
func (r *Rooms) ActiveOf(ctx context.Context, user chat.UserID) ([]projection.Relation, error) {
	return r.relations(ctx, bson.D{{Key: "user", Value: user}, {Key: "active", Value: true}}, options.Find().SetSort(ascending("room")))
}

// PendingOf implements [projection.States]. Errors: Unavailable.
func (r *Rooms) PendingOf(ctx context.Context, user chat.UserID) ([]projection.Relation, error) {
	return r.relations(ctx, bson.D{{Key: "user", Value: user}, {Key: "pending", Value: true}}, options.Find().SetSort(ascending("room")))
}

// Owned implements [projection.States]. Errors: Unavailable.
func (r *Rooms) Owned(ctx context.Context, rooms []chat.RoomID) (map[chat.RoomID]bool, error) {
	owned := make(map[chat.RoomID]bool)
	for batch := range slices.Chunk(rooms, together) {
		if err := r.addOwned(ctx, batch, owned); err != nil {
			return nil, err
		}
	}
	return owned, nil
}

func (r *Rooms) addOwned(ctx context.Context, rooms []chat.RoomID, owned map[chat.RoomID]bool) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	names := make(bson.A, len(rooms))
	for i, room := range rooms {
		names[i] = room
	}
	found, err := find[struct {
		Room chat.RoomID `bson:"room"`
	}](ctx, r.members, bson.D{among("room", names), {Key: "owner", Value: true}},
		options.Find().SetProjection(bson.D{{Key: "_id", Value: 0}, {Key: "room", Value: 1}}))
	if err != nil {
		return err
	}
	for _, m := range found {
		owned[m.Room] = true
	}
	return nil
}

func (r *Rooms) relations(ctx context.Context, filter bson.D, opts *options.FindOptionsBuilder) ([]projection.Relation, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	docs, err := find[memberDoc](ctx, r.members, filter, opts)
	if err != nil {
		return nil, err
	}
	list := make([]projection.Relation, len(docs))
	for i := range docs {
		list[i] = docs[i].relation()
	}
	return list, nil
}
