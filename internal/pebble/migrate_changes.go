package pebble

import (
	"bytes"
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// Layout 5 had nothing of edited and deleted messages, and no rooms' highest sequences
// with postings.
const schema5 = "5"

// fromSchema5 says of each room with postings that the highest sequence of all that are
// indexed may be among them. It may be interrupted and begun again.
func (s *Store) fromSchema5(ctx context.Context) (err error) {
	highest, err := s.highestIndexed(ctx)
	if err != nil {
		return err
	}
	it, err := s.iterate(ctx, []byte{kindNewest})
	if err != nil {
		return err
	}
	defer finish(it, &err)
	b := s.db.NewBatch()
	for ok := it.First(); ok; ok = it.Next() {
		if value := it.Value(); len(value) == placeLen {
			_ = b.Set(it.Key(), appendSequence(bytes.Clone(value), max(highest, place(value).sequence())), nil)
		}
	}
	if err := it.Error(); err != nil {
		return errors.Join(unavailable(err), b.Close())
	}
	_ = b.Set([]byte{kindSchema}, []byte(schema6), nil)
	return s.commit(b, pebble.Sync)
}

// highestIndexed is a sequence that none of the index is above.
func (s *Store) highestIndexed(ctx context.Context) (highest chat.Sequence, err error) {
	at, err := s.readMarks(ctx, chat.StoreIndex)
	if err != nil || len(at) == 0 {
		return maxSequence, err
	}
	for _, m := range at {
		highest = max(highest, m.Highest)
	}
	return highest, nil
}
