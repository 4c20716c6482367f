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

// TestFromSchema3 opens what the version before wrote, also after a migration that
// was cut off.
func TestFromSchema3(t *testing.T) {
	fs := vfs.NewMem()
	s, err := open("db", withFS(fs))
	must(t, err)
	old := fillFrom(t, s, "testdata/layout3.txt")
	if old["V"] != schema3 {
		t.Fatalf("the data has layout %q", old["V"])
	}
	must(t, s.Close())

	for _, undo := range []string{"", "V", "b"} {
		s, err = open("db", withFS(fs))
		must(t, err)
		chattest.MigratedRooms(t, s.Rooms())
		for key, value := range old {
			if undo != "" && (key == "V" || key == "bbooks\x00alice" && undo == "b") {
				must(t, s.db.Set([]byte(key), []byte(value), pebble.Sync))
			}
		}
		must(t, s.Close())
	}
}

// fillFrom sets the rows of a file, and returns them.
func fillFrom(t *testing.T, s *Store, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	rows := make(map[string]string)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var key, value string
		if _, err := fmt.Sscanf(lines.Text(), "%q %q", &key, &value); err != nil {
			t.Fatal(err)
		}
		rows[key] = value
		must(t, s.db.Set([]byte(key), []byte(value), pebble.Sync))
	}
	return rows
}
