package pebble

import (
	"bytes"
	"context"
	"errors"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// Layout 6 knew of edits and deletions in the index only, and not who mentions whom.
const schema6 = "6"

// fromSchema6 notes whom the messages mention. It may be interrupted and begun again.
func (s *Store) fromSchema6(ctx context.Context) (err error) {
	slog.Info("the store's mentions are brought up to date")
	it, err := s.iterate(ctx, []byte{kindMessage})
	if err != nil {
		return err
	}
	defer finish(it, &err)
	rows := &eventRows{it: it}
	b := s.db.NewBatch()
	for ok := it.First(); ok; ok = it.Next() {
		frame, err := rows.frame()
		if err == nil && bytes.Contains(frame, []byte(`"mentions"`)) { // few have it
			var e chat.Event
			if e, err = rows.event(frame); err == nil {
				mention(b, &e, nil, projection.Mentioned(&e, new(projection.Life)))
			}
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
	_ = b.Set([]byte{kindSchema}, []byte(schema), nil)
	return s.commit(b, pebble.Sync)
}
