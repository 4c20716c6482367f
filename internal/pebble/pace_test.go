package pebble

import (
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// categoriesFS remembers what files were created for.
type categoriesFS struct {
	vfs.FS
	mu   sync.Mutex
	seen []vfs.DiskWriteCategory
}

func (c *categoriesFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, category)
	return c.FS.Create(name, category)
}

// The names are the database's, and could change with its next version.
func TestPacedCategories(t *testing.T) {
	fs := &categoriesFS{FS: vfs.NewMem()}
	s, err := open("", withFS(fs))
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"old", "new"} {
		for _, key := range []string{"a", "z"} {
			if err := s.db.Set([]byte(key), []byte(value), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.db.Compact(t.Context(), []byte("a"), []byte("zz"), false); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, category := range []vfs.DiskWriteCategory{categoryFlush, categoryCompaction} {
		if !slices.Contains(fs.seen, category) {
			t.Errorf("no file was created for %q, of %q", category, fs.seen)
		}
	}
}
