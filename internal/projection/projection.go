// Package projection folds the log into what is known of rooms, members and read
// marks. An event is the least state that knows it; states merge. Merging is a
// join: in any order, however often, and in whatever groups states are merged, the
// result is the same. So stores may apply events out of order and again.
//
// Stores keep the states by their keys and merge them ([States]); what they mean is said
// here ([Rooms]). What the log has and a store may not have yet is folded over its states
// by the same rules ([Over], [Firsts]).
package projection

import "knatter.dev/chat"

// Change is what one event says. One of Room, Member and Mark is set.
type Change struct {
	RoomID chat.RoomID
	Room   *Room

	User   chat.UserID // of Member and Mark
	Member *Member
	Mark   chat.Sequence
}

// Of returns what an event says; ok is false if that is nothing, as with events of
// other types and all on users' own streams. Errors: Invalid.
func Of(e *chat.Event) (c Change, ok bool, err error) {
	room := e.Type == chat.RoomCreated || e.Type == chat.RoomUpdated
	member := e.Type.Member()
	if !room && !member && e.Type != chat.ReadAdvanced {
		return c, false, nil
	}
	if e.Stream.Own() {
		return c, false, nil
	}
	if !e.Stream.Valid() || e.Sequence <= 0 {
		return c, false, chat.Errorf(chat.Invalid, "the event has no room or no sequence")
	}
	c.RoomID = e.Stream.Room()
	switch {
	case room:
		c.Room, err = roomOf(e)
	case member:
		c.User, c.Member, err = memberOf(e)
	default:
		c.User, c.Mark, err = markOf(e)
	}
	return c, err == nil, err
}

// markOf is how far a read.advanced says that its sender has read.
func markOf(e *chat.Event) (chat.UserID, chat.Sequence, error) {
	user := e.User()
	if !user.Valid() {
		return "", 0, chat.Errorf(chat.Invalid, "%s must come from a user", e.Type.Short())
	}
	var d chat.ReadData
	if err := e.Decode(&d); err != nil {
		return "", 0, err
	}
	return user, Mark(d.UpTo, e.Sequence), nil
}

// Mark is the read mark that an event at a sequence sets if it says upTo: what comes
// after it cannot have been read yet. Marks merge by their maximum.
func Mark(upTo, at chat.Sequence) chat.Sequence { return max(0, min(upTo, at)) }

// Latest is a thing that events change on its own: the last one counts.
type Latest[T any] struct {
	Is T             `json:"is" bson:"is"`
	At chat.Sequence `json:"at" bson:"at"`
}

// merge reports whether from is later, which it takes then.
func (l *Latest[T]) merge(from Latest[T]) bool {
	if from.At <= l.At {
		return false
	}
	*l = from
	return true
}

// later raises a sequence and reports whether it did.
func later(at *chat.Sequence, to chat.Sequence) bool {
	if to <= *at {
		return false
	}
	*at = to
	return true
}
