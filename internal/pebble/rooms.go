package pebble

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// Rooms keeps the states of rooms and members.
type Rooms struct {
	s     *Store
	mu    sync.Mutex // rows are read, changed and written
	marks marks
}

var _ projection.States = (*Rooms)(nil)

// Apply implements [projection.States]. Errors: Invalid for an event that cannot be
// applied (nothing is then), Unavailable.
func (r *Rooms) Apply(ctx context.Context, events []chat.Event) error {
	if err := r.s.enter(ctx); err != nil {
		return err
	}
	defer r.s.leave()
	r.mu.Lock()
	defer r.mu.Unlock()
	// An indexed batch reads what it has written: several events of a batch may
	// change the same row.
	b := r.s.db.NewIndexedBatch()
	var moved moves
	for i := range events {
		moved.add(events[i].Origin, events[i].Sequence)
		if err := applyEvent(b, &events[i]); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	r.marks.put(b, moved)
	if err := r.s.commit(b, pebble.Sync); err != nil {
		return err
	}
	r.marks.keep(moved)
	return nil
}

func applyEvent(b *pebble.Batch, e *chat.Event) error {
	c, ok, err := projection.Of(e)
	switch {
	case err != nil || !ok:
		return err
	case c.Room != nil:
		return mergeRoom(b, c.RoomID, c.Room)
	case c.Member != nil:
		return mergeMember(b, c.RoomID, c.User, c.Member)
	default:
		return mergeMark(b, c.RoomID, c.User, c.Mark)
	}
}

func mergeRoom(b *pebble.Batch, room chat.RoomID, from *projection.Room) error {
	key := nameKey(kindRoom, room)
	var row projection.Room
	if _, err := getJSON(b, key, &row); err != nil {
		return err
	}
	if !row.Merge(from) {
		return nil
	}
	return setJSON(b, key, &row)
}

func mergeMember(b *pebble.Batch, room chat.RoomID, user chat.UserID, from *projection.Member) error {
	key := pairKey(kindMember, room, user)
	var row projection.Member
	if _, err := getJSON(b, key, &row); err != nil {
		return err
	}
	was := row.Active()
	if !row.Merge(from) {
		return nil
	}
	if is := row.Active(); is != was {
		if err := countMember(b, room, is); err != nil {
			return err
		}
	}
	return setMember(b, room, user, &row)
}

// setMember writes a member's row and those by which it is found.
func setMember(b *pebble.Batch, room chat.RoomID, user chat.UserID, row *projection.Member) error {
	mark(b, pairKey(kindRoomOf, user, room), row.Active())
	mark(b, pairKey(kindInvited, user, room), row.Pending())
	mark(b, pairKey(kindOwner, room, user), row.Owns())
	return setJSON(b, pairKey(kindMember, room, user), row)
}

// mark writes or removes a row that is nothing but its key.
func mark(b *pebble.Batch, key []byte, there bool) {
	if there {
		_ = b.Set(key, nil, nil)
	} else {
		_ = b.Delete(key, nil)
	}
}

func mergeMark(b *pebble.Batch, room chat.RoomID, user chat.UserID, to chat.Sequence) error {
	key := pairKey(kindRead, room, user)
	read, err := getSequence(b, key)
	if err != nil {
		return err
	}
	if to > read {
		_ = b.Set(key, appendSequence(nil, to), nil)
	}
	return nil
}

// State implements [projection.States]. Errors: Unavailable.
func (r *Rooms) State(ctx context.Context, room chat.RoomID) (state projection.Room, ok bool, err error) {
	if err := r.s.enter(ctx); err != nil {
		return state, false, err
	}
	defer r.s.leave()
	ok, err = getJSON(r.s.db, nameKey(kindRoom, room), &state)
	return state, ok, err
}

// Relation implements [projection.States]. Errors: Unavailable.
func (r *Rooms) Relation(ctx context.Context, room chat.RoomID, user chat.UserID) (projection.Relation, error) {
	if err := r.s.enter(ctx); err != nil {
		return projection.Relation{}, err
	}
	defer r.s.leave()
	return r.relation(room, user)
}

func (r *Rooms) relation(room chat.RoomID, user chat.UserID) (state projection.Relation, err error) {
	state.Room, state.User = room, user
	if !room.Valid() || !user.Valid() {
		return state, nil
	}
	if _, err = getJSON(r.s.db, pairKey(kindMember, room, user), &state.Member); err != nil {
		return state, err
	}
	state.Mark, err = getSequence(r.s.db, pairKey(kindRead, room, user))
	return state, err
}

// Relations implements [projection.States]. Errors: Unavailable.
func (r *Rooms) Relations(ctx context.Context, room chat.RoomID) ([]projection.Relation, error) {
	return relations(ctx, r, kindMember, room, func(user string, row []byte) (state projection.Relation, err error) {
		state.Room, state.User = room, chat.UserID(user)
		if json.Unmarshal(row, &state.Member) != nil {
			return state, damaged(pairKey(kindMember, room, state.User))
		}
		state.Mark, err = getSequence(r.s.db, pairKey(kindRead, room, state.User))
		return state, err
	})
}

// ActiveOf implements [projection.States]. Errors: Unavailable.
func (r *Rooms) ActiveOf(ctx context.Context, user chat.UserID) ([]projection.Relation, error) {
	return r.relationsOf(ctx, kindRoomOf, user)
}

// PendingOf implements [projection.States]. Errors: Unavailable.
func (r *Rooms) PendingOf(ctx context.Context, user chat.UserID) ([]projection.Relation, error) {
	return r.relationsOf(ctx, kindInvited, user)
}

func (r *Rooms) relationsOf(ctx context.Context, kind byte, user chat.UserID) ([]projection.Relation, error) {
	return relations(ctx, r, kind, user, func(room string, _ []byte) (projection.Relation, error) {
		return r.relation(chat.RoomID(room), user)
	})
}

// relations reads what the rows of a kind with a first name have, or point to by their
// second.
func relations[N interface {
	~string
	Valid() bool
}](ctx context.Context, r *Rooms, kind byte, of N, read func(other string, row []byte) (projection.Relation, error)) (list []projection.Relation, err error) {
	if !of.Valid() {
		return nil, nil
	}
	if err := r.s.enter(ctx); err != nil {
		return nil, err
	}
	defer r.s.leave()
	prefix := appendName(nil, kind, of)
	it, err := r.s.iterate(ctx, prefix)
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		row, err := it.ValueAndErr()
		if err != nil {
			return nil, unavailable(err)
		}
		one, err := read(string(it.Key()[len(prefix):]), row)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// Owned implements [projection.States]. Errors: Unavailable.
func (r *Rooms) Owned(ctx context.Context, rooms []chat.RoomID) (owned map[chat.RoomID]bool, err error) {
	if err := r.s.enter(ctx); err != nil {
		return nil, err
	}
	defer r.s.leave()
	it, err := r.s.iterate(ctx, []byte{kindOwner})
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	owned = make(map[chat.RoomID]bool)
	for _, room := range rooms {
		prefix := appendName(nil, kindOwner, room)
		if room.Valid() && it.SeekGE(prefix) && bytes.HasPrefix(it.Key(), prefix) {
			owned[room] = true
		}
	}
	return owned, nil
}
