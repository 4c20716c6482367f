package pebble

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// Rooms is the room store.
type Rooms struct {
	s  *Store
	mu sync.Mutex // rows are read, changed and written
}

var _ chat.RoomStore = (*Rooms)(nil)

// roomRow and memberRow hold a sequence for each thing that events change on
// their own, so that what is left in the end does not depend on the order in
// which the events were applied. Above all: a change of nickname that was logged
// after a removal does not bring the member back.
type roomRow struct {
	Name    string        `json:"name"`
	Kind    chat.RoomKind `json:"kind"`
	Created time.Time     `json:"created,omitzero"`

	NameAt    chat.Sequence `json:"nameAt,omitzero"`
	CreatedAt chat.Sequence `json:"createdAt,omitzero"` // of the first room.created
}

func (r *roomRow) apply(e *chat.Event) (changed bool, err error) {
	var d chat.RoomData
	if err := e.Decode(&d); err != nil {
		return false, err
	}
	if e.Type == chat.RoomCreated && (r.CreatedAt == 0 || e.Sequence < r.CreatedAt) {
		r.CreatedAt, r.Created, r.Kind = e.Sequence, e.Time, d.Kind
		changed = true
	}
	if e.Sequence > r.NameAt {
		r.NameAt, r.Name = e.Sequence, d.Name
		changed = true
	}
	return changed, nil
}

func (r *roomRow) room(id chat.RoomID) chat.Room {
	kind := r.Kind
	if kind == "" {
		kind = chat.Group
	}
	return chat.Room{ID: id, Name: r.Name, Kind: kind, Created: r.Created, Sequence: r.NameAt}
}

type memberRow struct {
	Nickname string    `json:"nickname"`
	Role     chat.Role `json:"role"`
	Active   bool      `json:"active"`

	Sequence   chat.Sequence `json:"sequence,omitzero"`
	ActiveAt   chat.Sequence `json:"activeAt,omitzero"`
	NicknameAt chat.Sequence `json:"nicknameAt,omitzero"`
	RoleAt     chat.Sequence `json:"roleAt,omitzero"`
}

func (m *memberRow) apply(e *chat.Event, d *chat.MemberData) (changed bool) {
	newer := func(at *chat.Sequence) bool {
		if e.Sequence <= *at {
			return false
		}
		*at, changed = e.Sequence, true
		return true
	}
	newer(&m.Sequence)
	if e.Type != chat.MemberUpdated && newer(&m.ActiveAt) {
		m.Active = e.Type == chat.MemberJoined
	}
	if d.Nickname != "" && newer(&m.NicknameAt) {
		m.Nickname = d.Nickname
	}
	if d.Role != "" && newer(&m.RoleAt) {
		m.Role = d.Role
	}
	return changed
}

func (m *memberRow) membership(room chat.RoomID, user chat.UserID, read chat.Sequence) chat.Membership {
	return chat.Membership{
		Room: room, User: user, Nickname: m.Nickname, Role: m.Role,
		Active: m.Active, Sequence: m.Sequence, Read: read,
	}
}

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
	for i := range events {
		if err := applyEvent(b, &events[i]); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	return r.s.commit(b, pebble.Sync)
}

func applyEvent(b *pebble.Batch, e *chat.Event) error {
	if !kept(e) {
		return nil
	}
	member := e.Type.Member()
	if !member && e.Type != chat.RoomCreated && e.Type != chat.RoomUpdated && e.Type != chat.ReadAdvanced {
		return nil
	}
	if !e.Stream.Valid() || e.Sequence <= 0 {
		return chat.Errorf(chat.Invalid, "the event has no room or no sequence")
	}
	switch {
	case member:
		return applyMember(b, e)
	case e.Type == chat.ReadAdvanced:
		return applyRead(b, e)
	default:
		return applyRoom(b, e)
	}
}

func applyRoom(b *pebble.Batch, e *chat.Event) error {
	key := nameKey(kindRoom, e.Stream)
	var row roomRow
	if _, err := getJSON(b, key, &row); err != nil {
		return err
	}
	changed, err := row.apply(e)
	if err != nil || !changed {
		return err
	}
	return setJSON(b, key, &row)
}

func applyMember(b *pebble.Batch, e *chat.Event) error {
	var d chat.MemberData
	if err := e.Decode(&d); err != nil {
		return err
	}
	if !d.User.Valid() {
		return chat.Errorf(chat.Invalid, "data.user must be a user's id")
	}
	key := pairKey(kindMember, e.Stream, d.User)
	var row memberRow
	if _, err := getJSON(b, key, &row); err != nil {
		return err
	}
	if !row.apply(e, &d) {
		return nil
	}
	roomOf := pairKey(kindRoomOf, d.User, e.Stream)
	if row.Active {
		_ = b.Set(roomOf, nil, nil)
	} else {
		_ = b.Delete(roomOf, nil)
	}
	return setJSON(b, key, &row)
}

// applyRead moves the read position, which only ever advances: a device that
// lags behind does not make read messages unread again.
func applyRead(b *pebble.Batch, e *chat.Event) error {
	user := e.User()
	if !user.Valid() {
		return chat.Errorf(chat.Invalid, "%s must come from a user", e.Type.Short())
	}
	var d chat.ReadData
	if err := e.Decode(&d); err != nil {
		return err
	}
	key := pairKey(kindRead, e.Stream, user)
	read, err := getSequence(b, key)
	if err != nil {
		return err
	}
	if d.UpTo > read {
		_ = b.Set(key, appendSequence(nil, d.UpTo), nil)
	}
	return nil
}

// Room implements [chat.RoomStore]. Errors: NotFound, Unavailable.
func (r *Rooms) Room(ctx context.Context, room chat.RoomID) (chat.Room, error) {
	if err := r.s.enter(ctx); err != nil {
		return chat.Room{}, err
	}
	defer r.s.leave()
	var row roomRow
	ok, err := getJSON(r.s.db, nameKey(kindRoom, room), &row)
	if err != nil {
		return chat.Room{}, err
	}
	if !ok {
		return chat.Room{}, chat.Errorf(chat.NotFound, "no such room")
	}
	return row.room(room), nil
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
	var row memberRow
	ok, err := getJSON(r.s.db, pairKey(kindMember, room, user), &row)
	if err != nil {
		return chat.Membership{}, err
	}
	if !ok {
		return chat.Membership{}, chat.Errorf(chat.NotFound, "no such member")
	}
	read, err := getSequence(r.s.db, pairKey(kindRead, room, user))
	if err != nil {
		return chat.Membership{}, err
	}
	return row.membership(room, user, read), nil
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
		var row memberRow
		if json.Unmarshal(it.Value(), &row) != nil {
			return nil, damaged(it.Key())
		}
		read, err := getSequence(r.s.db, pairKey(kindRead, room, user))
		if err != nil {
			return nil, err
		}
		members = append(members, row.membership(room, user, read))
	}
	return members, nil
}

// RoomsOf implements [chat.RoomStore]. Errors: Unavailable.
func (r *Rooms) RoomsOf(ctx context.Context, user chat.UserID) (rooms []chat.Membership, err error) {
	if !user.Valid() {
		return nil, nil
	}
	if err := r.s.enter(ctx); err != nil {
		return nil, err
	}
	defer r.s.leave()
	prefix := appendName(nil, kindRoomOf, user)
	it, err := r.s.iterate(ctx, prefix)
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		m, err := r.membership(chat.RoomID(it.Key()[len(prefix):]), user)
		if err != nil {
			return nil, err
		}
		if m.Active { // may have left since the iterator was opened
			rooms = append(rooms, m)
		}
	}
	return rooms, nil
}
