package pebble

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// getJSON reads a row into v and reports whether there is one.
func getJSON(r pebble.Reader, key []byte, v any) (bool, error) {
	b, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, unavailable(err)
	}
	if json.Unmarshal(b, v) != nil {
		return false, errors.Join(damaged(key), closer.Close())
	}
	return true, closer.Close()
}

func setJSON(w pebble.Writer, key []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("row %q: %w", key, err)
	}
	return w.Set(key, b, nil)
}

// getSequence reads a row that is a sequence, 0 when there is none.
func getSequence(r pebble.Reader, key []byte) (chat.Sequence, error) {
	b, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, unavailable(err)
	}
	s, ok := sequence(b)
	if !ok {
		return 0, errors.Join(damaged(key), closer.Close())
	}
	return s, closer.Close()
}
