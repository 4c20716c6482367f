package pebble

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"knatter.dev/chat/internal/priority"
	"knatter.dev/chat/internal/wait/waittest"
)

// niceFS remembers how nice the threads were that created files, by what the
// database says that it creates them for.
type niceFS struct {
	vfs.FS
	mu   sync.Mutex
	seen map[vfs.DiskWriteCategory][]int
}

func (fs *niceFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	n, err := priority.Niceness(unix.Gettid())
	if err != nil {
		return nil, err
	}
	fs.mu.Lock()
	fs.seen[category] = append(fs.seen[category], n)
	fs.mu.Unlock()
	return fs.FS.Create(name, category)
}

func TestBackgroundPriority(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := priority.Niceness(unix.Gettid())
	if err != nil {
		t.Fatal(err)
	}
	fs := &niceFS{FS: vfs.NewMem(), seen: make(map[vfs.DiskWriteCategory][]int)}
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
	for category, want := range map[vfs.DiskWriteCategory]int{
		"pebble-memtable-flush": min(before+priority.Background, 19),
		"pebble-compaction":     min(before+priority.Background, 19),
		"pebble-wal":            before,
	} {
		seen := fs.seen[category]
		if len(seen) == 0 {
			t.Errorf("no file was created for %s, of %v", category, fs.seen)
		}
		for _, n := range seen {
			if n != want {
				t.Errorf("%s: niceness %d, want %d", category, n, want)
			}
		}
	}
	// The threads are gone, and none was started by one of them.
	var nice []int
	if !waittest.Holds(5*time.Second, func() bool { nice = niceThreads(t, before); return len(nice) == 0 }) {
		t.Fatalf("threads %v still have a lower priority", nice)
	}
}

// niceThreads leaves out the main thread: see priority.Lower.
func niceThreads(t *testing.T, usual int) (nice []int) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		thread, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := priority.Niceness(thread); err == nil && n != usual && thread != os.Getpid() {
			nice = append(nice, thread)
		}
	}
	return nice
}
