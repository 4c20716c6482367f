package pebble

import (
	"context"
	"encoding/binary"
	"encoding/json"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// Counts implements [projection.States]. Errors: Unavailable.
func (r *Rooms) Counts(ctx context.Context, rooms []chat.RoomID) (map[chat.RoomID]int, error) {
	if err := r.s.enter(ctx); err != nil {
		return nil, err
	}
	defer r.s.leave()
	counts := make(map[chat.RoomID]int, len(rooms))
	for _, room := range rooms {
		if !room.Valid() {
			continue
		}
		n, ok, err := getCount(r.s.db, room)
		if err == nil && !ok {
			n, err = r.countAnew(room)
		}
		if err != nil {
			return nil, err
		}
		if n > 0 {
			counts[room] = n
		}
	}
	return counts, nil
}

// countAnew counts the members of a room of an earlier version's, and keeps the count.
func (r *Rooms) countAnew(room chat.RoomID) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok, err := getCount(r.s.db, room)
	if err != nil || ok {
		return n, err
	}
	if n, err = countActive(r.s.db, room); err != nil || n == 0 {
		return n, err
	}
	b := r.s.db.NewBatch()
	setCount(b, room, n)
	return n, r.s.commit(b, pebble.NoSync)
}

// countMember counts one more member of a room, or one less, before its row is written.
func countMember(b *pebble.Batch, room chat.RoomID, in bool) error {
	n, ok, err := getCount(b, room)
	if err == nil && !ok {
		n, err = countActive(b, room)
	}
	if err != nil {
		return err
	}
	if in {
		n++
	} else {
		n--
	}
	setCount(b, room, n)
	return nil
}

func getCount(of pebble.Reader, room chat.RoomID) (n int, ok bool, err error) {
	key := nameKey(kindCount, room)
	row, ok, err := get(of, key)
	if err != nil || !ok {
		return 0, false, err
	}
	if len(row) != 4 {
		return 0, false, damaged(key)
	}
	return int(binary.BigEndian.Uint32(row)), true, nil
}

func setCount(b *pebble.Batch, room chat.RoomID, n int) {
	_ = b.Set(nameKey(kindCount, room), binary.BigEndian.AppendUint32(nil, uint32(n)), nil)
}

// countActive goes through a room's members.
func countActive(of pebble.Reader, room chat.RoomID) (n int, err error) {
	prefix := appendName(nil, kindMember, room)
	it, err := of.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return 0, unavailable(err)
	}
	defer finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		row, err := it.ValueAndErr()
		if err != nil {
			return 0, unavailable(err)
		}
		var m projection.Member
		if json.Unmarshal(row, &m) != nil {
			return 0, damaged(it.Key())
		}
		if m.Active() {
			n++
		}
	}
	return n, nil
}
