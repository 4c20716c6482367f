package pebble

import (
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pacedFS makes flushes and compactions pause after each piece that they write.
// They are long work for a processor, which a delivery in a hurry would have to
// share, and nobody waits for them as long as they keep up with what comes.
type pacedFS struct {
	vfs.FS
	db     atomic.Pointer[pebble.DB] // once it is open
	looked atomic.Int64              // when, as nanoseconds of Unix time
	behind atomic.Bool
}

// What the database says that it creates a file for.
const (
	categoryFlush      vfs.DiskWriteCategory = "pebble-memtable-flush"
	categoryCompaction vfs.DiskWriteCategory = "pebble-compaction"
)

const (
	rest         = 2                // times as long as the work before
	shortestRest = time.Millisecond // that the system can measure out
	longestRest  = 5 * time.Millisecond
	lookInterval = 200 * time.Millisecond // between looks at whether they keep up

	// With more than these they don't: writes would stall before long.
	mostMemTables = 2
	mostSublevels = 10
)

// Create implements [vfs.FS].
func (p *pacedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := p.FS.Create(name, category)
	if err != nil || category != categoryFlush && category != categoryCompaction {
		return f, err
	}
	return &pacedFile{File: f, fs: p, since: time.Now()}, nil
}

func (p *pacedFS) keepsUp() bool {
	db := p.db.Load()
	if db == nil {
		return false
	}
	now := time.Now().UnixNano()
	if looked := p.looked.Load(); now-looked >= int64(lookInterval) && p.looked.CompareAndSwap(looked, now) {
		m := db.Metrics()
		p.behind.Store(m.MemTable.Count > mostMemTables || m.Levels[0].Sublevels > mostSublevels)
	}
	return !p.behind.Load()
}

// pacedFile is a file that a flush or a compaction writes.
type pacedFile struct {
	vfs.File
	fs    *pacedFS
	since time.Time     // of the work on the next piece
	owed  time.Duration // rest that was too short to be taken
}

// Write implements [vfs.File].
func (f *pacedFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	if err == nil && f.fs.keepsUp() {
		if f.owed += rest * time.Since(f.since); f.owed >= shortestRest {
			time.Sleep(min(f.owed, longestRest))
			f.owed = 0
		}
	}
	f.since = time.Now()
	return n, err
}
