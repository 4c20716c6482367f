package pebble

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat/internal/names"
)

// Layout 4 told spellings of an email address apart that are one.
const schema4 = "4"

// fromSchema4 lets accounts be found under all spellings of their address. The rows
// that they have stay: several may have one address in different spellings, and each
// is found under its own. It may be interrupted and begun again.
func (s *Store) fromSchema4(ctx context.Context) (err error) {
	prefix := []byte{kindEmail}
	it, err := s.iterate(ctx, prefix)
	if err != nil {
		return err
	}
	defer finish(it, &err)
	b := s.db.NewIndexedBatch()
	for valid := it.First(); valid; valid = it.Next() {
		user, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(unavailable(err), b.Close())
		}
		key := names.EmailKey(string(it.Key()[len(prefix):]))
		if key == "" {
			continue
		}
		_, taken, err := get(b, nameKey(kindEmail, key))
		if err != nil {
			return errors.Join(err, b.Close())
		}
		if !taken {
			_ = b.Set(nameKey(kindEmail, key), user, nil)
		}
	}
	_ = b.Set([]byte{kindSchema}, []byte(schema5), nil)
	return s.commit(b, pebble.Sync)
}
