package pebble

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// Layout 3 had less in its members' rows, no rows of owners, and read marks as
// clients sent them.
const schema3 = "3"

// fromSchema3 brings members and read marks up to date. What it has done already it
// leaves as it is, so it may be interrupted and begun again.
func (s *Store) fromSchema3(ctx context.Context) error {
	if err := s.rewrite(ctx, kindMember, s.convertMember); err != nil {
		return err
	}
	newest := make(map[chat.RoomID]chat.Sequence)
	err := s.rewrite(ctx, kindRead, func(b *pebble.Batch, key, value []byte, room chat.RoomID, _ chat.UserID) error {
		return s.cutMark(ctx, newest, b, key, value, room)
	})
	if err != nil {
		return err
	}
	b := s.db.NewBatch()
	_ = b.Set([]byte{kindSchema}, []byte(schema4), nil)
	return s.commit(b, pebble.Sync)
}

// rewrite calls f for each row of a kind that names a room and a user.
func (s *Store) rewrite(ctx context.Context, kind byte, f func(b *pebble.Batch, key, value []byte, room chat.RoomID, user chat.UserID) error) (err error) {
	it, err := s.iterate(ctx, []byte{kind})
	if err != nil {
		return err
	}
	defer finish(it, &err)
	b := s.db.NewBatch()
	for valid := it.First(); valid; valid = it.Next() {
		room, user, ok := bytes.Cut(it.Key()[1:], []byte{0})
		value, err := it.ValueAndErr()
		switch {
		case err != nil:
			err = unavailable(err)
		case !ok:
			err = damaged(it.Key())
		default:
			err = f(b, it.Key(), value, chat.RoomID(room), chat.UserID(user))
		}
		if err != nil {
			return errors.Join(err, b.Close())
		}
		if b.Count() >= migrationBatch {
			if err := s.commit(b, pebble.NoSync); err != nil {
				return err
			}
			b = s.db.NewBatch()
		}
	}
	return s.commit(b, pebble.NoSync)
}

func (s *Store) convertMember(b *pebble.Batch, key, value []byte, room chat.RoomID, user chat.UserID) error {
	var old struct {
		projection.Member
		Active   bool          `json:"active"`
		ActiveAt chat.Sequence `json:"activeAt"`
	}
	if json.Unmarshal(value, &old) != nil {
		return damaged(key)
	}
	if old.ActiveAt != 0 {
		removed, err := s.isRemoval(room, old.ActiveAt)
		if err != nil {
			return err
		}
		old.Merge(projection.Stay(old.Active, removed, old.ActiveAt))
	}
	return setMember(b, room, user, &old.Member)
}

// isRemoval reports whether a stored event is a removal.
func (s *Store) isRemoval(room chat.RoomID, at chat.Sequence) (bool, error) {
	key := eventKey(nil, kindEvent, room, at)
	row, ok, err := s.get(key)
	if err != nil || !ok {
		return false, err
	}
	_, frame, ok := splitEvent(row)
	if !ok {
		return false, damaged(key)
	}
	e, err := chat.DecodeFrame(frame)
	if err != nil {
		return false, damaged(key)
	}
	return e.Type == chat.MemberRemoved, nil
}

// cutMark cuts a read mark to the room's newest event. Marks that are not stored yet
// are cut when they are applied.
func (s *Store) cutMark(ctx context.Context, newest map[chat.RoomID]chat.Sequence, b *pebble.Batch, key, value []byte, room chat.RoomID) error {
	mark, ok := sequence(value)
	if !ok {
		return damaged(key)
	}
	last, known := newest[room]
	if !known {
		events, _, err := s.events.Events(ctx, room, chat.Range{Limit: 1, Newest: true})
		if err != nil {
			return err
		}
		if len(events) > 0 {
			last = events[0].Sequence
		}
		newest[room] = last
	}
	if mark > last {
		_ = b.Set(key, appendSequence(nil, last), nil)
	}
	return nil
}
