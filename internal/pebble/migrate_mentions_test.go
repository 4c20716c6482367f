package pebble

import (
	"bufio"
	"fmt"
	"os"
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
	f, err := os.Open("testdata/layout5.txt")
	must(t, err)
	defer f.Close()
	for rows := bufio.NewScanner(f); rows.Scan(); {
		var key, value string
		if _, err := fmt.Sscanf(rows.Text(), "%q %q", &key, &value); err != nil {
			t.Fatal(err)
		}
		must(t, s.db.Set([]byte(key), []byte(value), pebble.Sync))
	}
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
