package projection

import (
	"context"

	"knatter.dev/chat"
)

// Relation is all that is kept of one user in one room.
type Relation struct {
	Room chat.RoomID
	User chat.UserID
	Member
	Mark chat.Sequence // the highest read mark of all stays
}

// Add merges what an event says about the user into the relation.
func (r *Relation) Add(c Change) {
	if c.Member != nil {
		r.Merge(c.Member)
	}
	r.Mark = max(r.Mark, c.Mark)
}

// View is the relation as functions see it.
func (r *Relation) View() chat.Membership { return r.Member.View(r.Room, r.User, r.Mark) }

// concerns reports whether there is anything to see: a read mark may be there before
// its member, and an invitation that was declined leaves a member of which the room
// knows nothing.
func (r *Relation) concerns() bool { return r.Known() || r.Pending() }

// States are the states of rooms and members, which a store keeps by their keys. It
// finds them, and merges into them; what they mean is up to [Rooms].
type States interface {
	// Apply is that of [chat.RoomStore].
	Apply(ctx context.Context, events []chat.Event) error

	// State returns a room's state, and whether there is one.
	State(ctx context.Context, room chat.RoomID) (Room, bool, error)

	// Relation returns what is kept of a user in a room; nothing but their names if
	// nothing is.
	Relation(ctx context.Context, room chat.RoomID, user chat.UserID) (Relation, error)

	// Relations returns all that is kept of a room's users, by user.
	Relations(ctx context.Context, room chat.RoomID) ([]Relation, error)

	// ActiveOf and PendingOf return those of a user's relations that are active, or
	// pending, by room.
	ActiveOf(ctx context.Context, user chat.UserID) ([]Relation, error)
	PendingOf(ctx context.Context, user chat.UserID) ([]Relation, error)

	// Counts and Owned are those of [chat.RoomStore].
	Counts(ctx context.Context, rooms []chat.RoomID) (map[chat.RoomID]int, error)
	Owned(ctx context.Context, rooms []chat.RoomID) (map[chat.RoomID]bool, error)
}

// Rooms is a room store over the states that another one keeps.
type Rooms struct{ States }

var _ chat.RoomStore = Rooms{}

// Room implements [chat.RoomStore].
func (r Rooms) Room(ctx context.Context, room chat.RoomID) (chat.Room, error) {
	state, ok, err := r.State(ctx, room)
	if err != nil {
		return chat.Room{}, err
	}
	if !ok {
		return chat.Room{}, chat.Errorf(chat.NotFound, "no such room")
	}
	return state.View(room), nil
}

// Membership implements [chat.RoomStore].
func (r Rooms) Membership(ctx context.Context, room chat.RoomID, user chat.UserID) (chat.Membership, error) {
	state, err := r.Relation(ctx, room, user)
	if err != nil {
		return chat.Membership{}, err
	}
	if !state.concerns() {
		return chat.Membership{}, chat.Errorf(chat.NotFound, "no such member")
	}
	return state.View(), nil
}

// Members implements [chat.RoomStore].
func (r Rooms) Members(ctx context.Context, room chat.RoomID) ([]chat.Membership, error) {
	all, err := r.Relations(ctx, room)
	return views(all, err, (*Relation).Known)
}

// RoomsOf implements [chat.RoomStore].
func (r Rooms) RoomsOf(ctx context.Context, user chat.UserID) ([]chat.Membership, error) {
	active, err := r.ActiveOf(ctx, user)
	return views(active, err, (*Relation).Active)
}

// Invitations implements [chat.RoomStore].
func (r Rooms) Invitations(ctx context.Context, user chat.UserID) ([]chat.Membership, error) {
	pending, err := r.PendingOf(ctx, user)
	return views(pending, err, (*Relation).Pending)
}

// views are those relations that are as wanted. One that was found by what it was may
// be something else when it is read.
func views(all []Relation, err error, wanted func(*Relation) bool) (list []chat.Membership, _ error) {
	for i := range all {
		if wanted(&all[i]) {
			list = append(list, all[i].View())
		}
	}
	return list, err
}
