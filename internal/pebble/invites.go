package pebble

import (
	"context"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// Invites is the invite store.
type Invites struct {
	s  *Store
	mu sync.Mutex // rows are read, changed and written
}

var _ chat.InviteStore = (*Invites)(nil)

func inviteKey(code string) []byte { return append([]byte{kindInvite}, code...) }

// Create implements [chat.InviteStore]. Errors: Invalid for a code or a room that is
// none, Conflict, Unavailable.
func (s *Invites) Create(ctx context.Context, i chat.Invite) error {
	if !chat.RoomID(i.Code).Valid() || !i.Room.Valid() {
		return chat.Errorf(chat.Invalid, "an invite needs a code and a room")
	}
	return s.write(ctx, func(b *pebble.Batch) error {
		if _, err := s.get(i.Code); err == nil {
			return chat.Errorf(chat.Conflict, "the invite exists")
		} else if chat.KindOf(err) != chat.NotFound {
			return err
		}
		_ = b.Set(pairKey(kindInviteOf, i.Room, i.Code), nil, nil)
		return setJSON(b, inviteKey(i.Code), &i)
	})
}

// Invite implements [chat.InviteStore]. Errors: NotFound, Unavailable.
func (s *Invites) Invite(ctx context.Context, code string) (chat.Invite, error) {
	if err := s.s.enter(ctx); err != nil {
		return chat.Invite{}, err
	}
	defer s.s.leave()
	return s.get(code)
}

// Invites implements [chat.InviteStore]. Errors: Unavailable.
func (s *Invites) Invites(ctx context.Context, room chat.RoomID) (list []chat.Invite, err error) {
	if !room.Valid() {
		return nil, nil
	}
	if err := s.s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.s.leave()
	prefix := appendName(nil, kindInviteOf, room)
	it, err := s.s.iterate(ctx, prefix)
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		i, err := s.get(string(it.Key()[len(prefix):]))
		if err != nil {
			if chat.KindOf(err) == chat.NotFound {
				continue // withdrawn meanwhile
			}
			return nil, err
		}
		list = append(list, i)
	}
	return list, nil
}

// Change implements [chat.InviteStore]. Errors: NotFound, f's own, Unavailable.
func (s *Invites) Change(ctx context.Context, code string, f func(*chat.Invite) error) error {
	return s.write(ctx, func(b *pebble.Batch) error {
		i, err := s.get(code)
		if err == nil {
			err = f(&i)
		}
		if err != nil {
			return err
		}
		return setJSON(b, inviteKey(code), &i)
	})
}

// Withdraw implements [chat.InviteStore]. Errors: NotFound, Unavailable.
func (s *Invites) Withdraw(ctx context.Context, code string) error {
	return s.write(ctx, func(b *pebble.Batch) error {
		i, err := s.get(code)
		if err != nil {
			return err
		}
		_ = b.Delete(pairKey(kindInviteOf, i.Room, code), nil)
		return b.Delete(inviteKey(code), nil)
	})
}

func (s *Invites) get(code string) (i chat.Invite, err error) {
	ok, err := getJSON(s.s.db, inviteKey(code), &i)
	if err == nil && !ok {
		err = chat.Errorf(chat.NotFound, "no such invite")
	}
	return i, err
}

// write commits what f writes, durably and one after the other.
func (s *Invites) write(ctx context.Context, f func(*pebble.Batch) error) error {
	if err := s.s.enter(ctx); err != nil {
		return err
	}
	defer s.s.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.s.db.NewBatch()
	if err := f(b); err != nil {
		_ = b.Close()
		return err
	}
	return s.s.commit(b, pebble.Sync)
}
