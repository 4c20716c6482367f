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

// Rooms is the room store.
type Rooms struct {
	rooms   *mongo.Collection
	members *mongo.Collection
	marks   *marks
}

var _ chat.RoomStore = (*Rooms)(nil)

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

func (r *roomDoc) fields() bson.D {
	return bson.D{
		{Key: "name", Value: r.State.Name}, {Key: "nameAt", Value: r.State.NameAt},
		{Key: "kind", Value: r.State.Kind}, {Key: "created", Value: r.State.Created}, {Key: "createdAt", Value: r.State.CreatedAt},
	}
}

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

func (m *memberDoc) fields() bson.D {
	s := &m.State
	return bson.D{
		{Key: "user", Value: m.User}, {Key: "sequence", Value: s.Sequence},
		{Key: "active", Value: m.Active}, {Key: "pending", Value: m.Pending}, {Key: "owner", Value: m.Owner},
		{Key: "nickname", Value: s.Nickname}, {Key: "nicknameAt", Value: s.NicknameAt},
		{Key: "role", Value: s.Role}, {Key: "roleAt", Value: s.RoleAt},
		{Key: "joins", Value: s.Joins}, {Key: "joined", Value: s.Joined},
		{Key: "ended", Value: s.Ended}, {Key: "removed", Value: s.Removed},
		{Key: "invited", Value: s.Invited}, {Key: "invitedBy", Value: s.InvitedBy}, {Key: "invitedAt", Value: s.InvitedAt},
		{Key: "declined", Value: s.Declined},
	}
}

func (m *memberDoc) membership() chat.Membership { return m.State.View(m.Room, m.User, m.Read) }

// Apply implements [chat.RoomStore]. Errors: Invalid for an event that cannot be
// applied (nothing is then), TooLarge, Unavailable.
func (r *Rooms) Apply(ctx context.Context, events []chat.Event) error {
	var rooms merger[roomDoc, *roomDoc]
	var members merger[memberDoc, *memberDoc]
	var reads reads
	var moved moves
	for i := range events {
		moved.add(events[i].Origin, events[i].Sequence)
		c, ok, err := projection.Of(&events[i])
		switch {
		case err != nil:
			return err
		case !ok:
		case c.Room != nil:
			rooms.add(roomDoc{ID: c.Stream, State: *c.Room})
		case c.Member != nil:
			members.add(newMember(c.Stream, c.User, *c.Member))
		default:
			reads.add(c.Stream, c.User, c.Mark)
		}
	}
	if err := rooms.apply(ctx, r.rooms); err != nil {
		return err
	}
	if err := members.apply(ctx, r.members); err != nil {
		return err
	}
	if err := reads.apply(ctx, r.members); err != nil {
		return err
	}
	return r.marks.note(ctx, moved)
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
	return found[0].State.View(room), nil
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
	all, err := r.memberships(ctx, bson.D{{Key: "room", Value: room}}, options.Find().SetSort(ascending("user")))
	return slices.DeleteFunc(all, func(m chat.Membership) bool { return m.Sequence == 0 }), err
}

// RoomsOf implements [chat.RoomStore]. Errors: Unavailable.
func (r *Rooms) RoomsOf(ctx context.Context, user chat.UserID) ([]chat.Membership, error) {
	return r.memberships(ctx, bson.D{{Key: "user", Value: user}, {Key: "active", Value: true}}, options.Find().SetSort(ascending("room")))
}

// Invitations implements [chat.RoomStore]. Errors: Unavailable.
func (r *Rooms) Invitations(ctx context.Context, user chat.UserID) ([]chat.Membership, error) {
	return r.memberships(ctx, bson.D{{Key: "user", Value: user}, {Key: "pending", Value: true}}, options.Find().SetSort(ascending("room")))
}

// Owned implements [chat.RoomStore]. Errors: Unavailable.
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

func (r *Rooms) memberships(ctx context.Context, filter bson.D, opts *options.FindOptionsBuilder) (list []chat.Membership, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	docs, err := find[memberDoc](ctx, r.members, filter, opts)
	if err != nil {
		return nil, err
	}
	for i := range docs {
		if docs[i].State.Known() || docs[i].Pending { // otherwise there is a read mark only, or an invitation that was declined
			list = append(list, docs[i].membership())
		}
	}
	return list, nil
}
