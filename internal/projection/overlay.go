package projection

import (
	"cmp"
	"context"
	"slices"

	"knatter.dev/chat"
)

// Over returns the states of a store with what it may not know yet folded over them:
// tail returns the events of a stream that were read from the log before. They may be in the
// store already.
//
// What is found by a user is still what the store finds: who has joined is found there
// as soon as that is answered, see [knatter.dev/chat/internal/members].
func Over(s States, tail func(chat.StreamID) []chat.Event) States { return &overlay{s, tail} }

type overlay struct {
	States
	tail func(chat.StreamID) []chat.Event
}

// changes calls f with what each event of a room's tail says. What says nothing that
// can be read goes to the dead letters, and not to the store either.
func (o *overlay) changes(room chat.RoomID, f func(Change)) {
	events := o.tail(room.Stream())
	for i := range events {
		if c, ok, err := Of(&events[i]); ok && err == nil {
			f(c)
		}
	}
}

// State implements [States].
func (o *overlay) State(ctx context.Context, room chat.RoomID) (Room, bool, error) {
	state, ok, err := o.States.State(ctx, room)
	o.changes(room, func(c Change) {
		if c.Room != nil {
			state.Merge(c.Room)
			ok = true
		}
	})
	return state, ok, err
}

// Relation implements [States].
func (o *overlay) Relation(ctx context.Context, room chat.RoomID, user chat.UserID) (Relation, error) {
	r, err := o.States.Relation(ctx, room, user)
	o.fold(&r)
	return r, err
}

func (o *overlay) fold(r *Relation) {
	o.changes(r.Room, func(c Change) {
		if c.Room == nil && c.User == r.User {
			r.Add(c)
		}
	})
}

// Relations implements [States].
func (o *overlay) Relations(ctx context.Context, room chat.RoomID) ([]Relation, error) {
	all, err := o.States.Relations(ctx, room)
	o.changes(room, func(c Change) {
		if c.Room != nil {
			return
		}
		i, found := slices.BinarySearchFunc(all, c.User, func(r Relation, user chat.UserID) int { return cmp.Compare(r.User, user) })
		if !found {
			all = slices.Insert(all, i, Relation{Room: room, User: c.User})
		}
		all[i].Add(c)
	})
	return all, err
}

// Counts implements [States]: who is in the room by the tail, and is not in the store,
// counts too.
func (o *overlay) Counts(ctx context.Context, rooms []chat.RoomID) (map[chat.RoomID]int, error) {
	counts, err := o.States.Counts(ctx, rooms)
	if err != nil {
		return nil, err
	}
	for _, room := range rooms {
		var moved map[chat.UserID]*Member
		o.changes(room, func(c Change) {
			if c.Member == nil || c.Member.Joined == 0 && c.Member.Ended == 0 {
				return
			}
			if moved == nil {
				moved = make(map[chat.UserID]*Member)
			}
			if moved[c.User] == nil {
				moved[c.User] = new(Member)
			}
			moved[c.User].Merge(c.Member)
		})
		for user, m := range moved {
			r, err := o.States.Relation(ctx, room, user)
			if err != nil {
				return nil, err
			}
			was := r.Active()
			r.Merge(m)
			switch is := r.Active(); {
			case is && !was:
				counts[room]++
			case was && !is:
				counts[room]--
			}
		}
	}
	return counts, nil
}

// ActiveOf implements [States].
func (o *overlay) ActiveOf(ctx context.Context, user chat.UserID) ([]Relation, error) {
	return o.foldAll(o.States.ActiveOf(ctx, user))
}

// PendingOf implements [States].
func (o *overlay) PendingOf(ctx context.Context, user chat.UserID) ([]Relation, error) {
	return o.foldAll(o.States.PendingOf(ctx, user))
}

func (o *overlay) foldAll(all []Relation, err error) ([]Relation, error) {
	for i := range all {
		o.fold(&all[i])
	}
	return all, err
}
