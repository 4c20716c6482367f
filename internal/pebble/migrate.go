package pebble

import (
	"bytes"
	"context"
	"log/slog"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// Layout 2 had other rows of identities: kind room NUL source NUL id.
const (
	schema2         = "2"
	schema2First    = 'f'
	schema2Document = 'd'

	migrationBatch = 10_000 // rows
)

// migrate brings data of an earlier layout up to date, from one to the next.
// Errors: Unavailable also when it is another version's.
func (s *Store) migrate(ctx context.Context, found string) error {
	layouts := []string{schema2, schema3, schema4, schema5, schema6, schema}
	at := slices.Index(layouts, found)
	if at < 0 {
		return chat.Errorf(chat.Unavailable, "the data has layout %q, this version reads %q: start it on an empty directory", found, schema)
	}
	steps := []func(context.Context) error{s.fromSchema2, s.fromSchema3, s.fromSchema4, s.fromSchema5, s.fromSchema6}
	for _, step := range steps[at:] {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// fromSchema2 gives the identities of events and documents their present keys.
// Nothing of the old ones is removed before all new ones are there, so it may be
// interrupted and begun again.
func (s *Store) fromSchema2(ctx context.Context) error {
	slog.Info("the store is brought up to date, which takes a minute for some million messages")
	for from, to := range map[byte]byte{schema2First: kindFirst, schema2Document: kindDocument} {
		if err := s.moveIdentities(ctx, from, to); err != nil {
			return err
		}
	}
	b := s.db.NewBatch()
	for _, kind := range []byte{schema2First, schema2Document} {
		_ = b.DeleteRange([]byte{kind}, []byte{kind + 1}, nil)
	}
	_ = b.Set([]byte{kindSchema}, []byte(schema3), nil)
	return s.commit(b, pebble.Sync)
}

func (s *Store) moveIdentities(ctx context.Context, from, to byte) (err error) {
	it, err := s.iterate(ctx, []byte{from})
	if err != nil {
		return err
	}
	defer finish(it, &err)
	b := s.db.NewBatch()
	var key []byte
	for valid := it.First(); valid; valid = it.Next() {
		names := bytes.SplitN(it.Key()[1:], []byte{0}, 3)
		if len(names) != 3 {
			_ = b.Close() // the first error is the one to tell
			return damaged(it.Key())
		}
		v, err := it.ValueAndErr()
		if err != nil {
			_ = b.Close()
			return unavailable(err)
		}
		key = identityKey(key[:0], to, chat.RoomID(names[0]), string(names[1]), string(names[2]))
		_ = b.Set(key, v, nil)
		if b.Count() >= migrationBatch {
			if err := s.commit(b, pebble.NoSync); err != nil {
				return err
			}
			b = s.db.NewBatch()
		}
	}
	return s.commit(b, pebble.NoSync)
}
