// Package pebbletest gives tests a store.
package pebbletest

import (
	"testing"

	"knatter.dev/chat/internal/pebble"
)

// Memory returns an empty store in memory, which is closed when the test ends.
func Memory(t testing.TB) *pebble.Store {
	t.Helper()
	s, err := pebble.OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
