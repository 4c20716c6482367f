package pebble

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"knatter.dev/chat/internal/chattest"
)

// TestFromSchema6 opens what a version wrote that knew nothing of the lives of messages,
// also after a migration that was cut off.
func TestFromSchema6(t *testing.T) {
	fs := vfs.NewMem()
	s, err := open("db", withFS(fs))
	must(t, err)
	fillFrom(t, s, "testdata/layout5.txt")
	must(t, s.Close())
	for range 2 {
		s, err = open("db", withFS(fs))
		must(t, err)
		chattest.MigratedEvents(t, s.Events())
		must(t, s.db.Set([]byte{kindSchema}, []byte(schema6), pebble.Sync))
		must(t, s.Close())
	}
	s, err = open("db", withFS(fs))
	must(t, err)
	chattest.MigratedLives(t, s.Events())
	must(t, s.Close())
}
