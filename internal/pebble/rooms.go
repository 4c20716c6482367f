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

// Rooms is the room store.
type Rooms struct {
	s     *Store
	mu    sync.Mutex // rows are read, changed and written
	marks marks
}

var _ chat.RoomStore = (*Rooms)(nil)

// Apply implements [chat.RoomStore]. Errors: Invalid for an event that cannot be
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
		return mergeRoom(b, c.Stream, c.Room)
	case c.Member != nil:
		return mergeMember(b, c.Stream, c.User, c.Member)
	default:
		return mergeMark(b, c.Stream, c.User, c.Mark)
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
	if !row.Merge(from) {
		return nil
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

// Room implements [chat.RoomStore]. Errors: NotFound, Unavailable.
func (r *Rooms) Room(ctx context.Context, room chat.RoomID) (chat.Room, error) {
	if err := r.s.enter(ctx); err != nil {
		return chat.Room{}, err
	}
	defer r.s.leave()
	var row projection.Room
	ok, err := getJSON(r.s.db, nameKey(kindRoom, room), &row)
	if err != nil {
		return chat.Room{}, err
	}
	if !ok {
		return chat.Room{}, chat.Errorf(chat.NotFound, "no such room")
	}
	return row.View(room), nil
}

// Membership implements [chat.RoomStore]. Errors: NotFound, Unavailable.
func (r *Rooms) Membership(ctx context.Context, room chat.RoomID, user chat.UserID) (chat.Membership, error) {
	if err := r.s.enter(ctx); err != nil {
		return chat.Membership{}, err
	}
	defer r.s.leave()
	return r.membership(room, user)
}

func (r *Rooms) membership(room chat.RoomID, user chat.UserID) (chat.Membership, error) {
	if !room.Valid() || !user.Valid() {
		return chat.Membership{}, chat.Errorf(chat.NotFound, "no such member")
	}
	var row projection.Member
	ok, err := getJSON(r.s.db, pairKey(kindMember, room, user), &row)
	if err != nil {
		return chat.Membership{}, err
	}
	if !ok || !row.Known() && !row.Pending() {
		return chat.Membership{}, chat.Errorf(chat.NotFound, "no such member")
	}
	read, err := getSequence(r.s.db, pairKey(kindRead, room, user))
	if err != nil {
		return chat.Membership{}, err
	}
	return row.View(room, user, read), nil
}

// Members implements [chat.RoomStore]. Errors: Unavailable.
func (r *Rooms) Members(ctx context.Context, room chat.RoomID) (members []chat.Membership, err error) {
	if !room.Valid() {
		return nil, nil
	}
	if err := r.s.enter(ctx); err != nil {
		return nil, err
	}
	defer r.s.leave()
	prefix := appendName(nil, kindMember, room)
	it, err := r.s.iterate(ctx, prefix)
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		user := chat.UserID(it.Key()[len(prefix):])
		var row projection.Member
		if json.Unmarshal(it.Value(), &row) != nil {
			return nil, damaged(it.Key())
		}
		if !row.Known() {
			continue
		}
		read, err := getSequence(r.s.db, pairKey(kindRead, room, user))
		if err != nil {
			return nil, err
		}
		members = append(members, row.View(room, user, read))
	}
	return members, nil
}

// RoomsOf implements [chat.RoomStore]. Errors: Unavailable.
func (r *Rooms) RoomsOf(ctx context.Context, user chat.UserID) ([]chat.Membership, error) {
	return r.memberships(ctx, kindRoomOf, user, func(m *chat.Membership) bool { return m.Active })
}

// Invitations implements [chat.RoomStore]. Errors: Unavailable.
func (r *Rooms) Invitations(ctx context.Context, user chat.UserID) ([]chat.Membership, error) {
	return r.memberships(ctx, kindInvited, user, func(m *chat.Membership) bool { return m.InvitedBy != "" })
}

// memberships are those of a user that have a row of a kind and still are what it
// says: they may have changed since the iterator was opened.
func (r *Rooms) memberships(ctx context.Context, kind byte, user chat.UserID, still func(*chat.Membership) bool) (list []chat.Membership, err error) {
	if !user.Valid() {
		return nil, nil
	}
	if err := r.s.enter(ctx); err != nil {
		return nil, err
	}
	defer r.s.leave()
	prefix := appendName(nil, kind, user)
	it, err := r.s.iterate(ctx, prefix)
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		m, err := r.membership(chat.RoomID(it.Key()[len(prefix):]), user)
		if chat.KindOf(err) == chat.NotFound && err != nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		if still(&m) {
			list = append(list, m)
		}
	}
	return list, nil
}

// Owned implements [chat.RoomStore]. Errors: Unavailable.
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
