package pebble

import (
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"knatter.dev/chat/internal/sealed"
)

// ledgerName is a file beside the database's.
const ledgerName = "LEDGER"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// entry is what is known of a file that the database only appends to: its logs, its
// manifests and its options. A database that finds one of them cut, damaged, or gone takes that
// for the end of what there is.
type entry struct {
	Name string `json:"name"`
	Size int64  `json:"size"` // that is synced
	Sum  uint32 `json:"sum"`  // of that
}

// account is the ledger's document.
type account struct {
	Files  []entry `json:"files"`
	Format uint64  `json:"format"` // of the database
	// The log with the latest of what is kept nowhere else than in the store, up to
	// that. What comes after can be made again of the events' log.
	Keep entry `json:"keep"`
}

// ledger is a file system that notes what the database has synced, and removes
// nothing that it has not noted. The ledger itself is not synced otherwise: what it
// says was true when it was written.
type ledger struct {
	vfs.FS
	file  vfs.File
	slots *sealed.File

	mu      sync.Mutex
	account account
	warned  time.Time
}

// openLedger begins the ledger of a directory, whose files are as the account says.
func openLedger(on vfs.FS, dir string, a account, count uint64) (*ledger, error) {
	path := on.PathJoin(dir, ledgerName)
	f, err := on.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = on.Create(path, vfs.WriteCategoryUnspecified)
	}
	if err != nil {
		return nil, err
	}
	l := &ledger{FS: on, file: f, slots: sealed.NewFile(f, count), account: a}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.write(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

func (l *ledger) write() error { return l.slots.Write(l.account) }

// appended reports whether a file is one of those that are noted.
func appended(name string) bool {
	return strings.HasSuffix(name, ".log") || strings.HasPrefix(name, "MANIFEST-")
}

// Rename implements [vfs.FS]: options are written whole, under another name.
func (l *ledger) Rename(old, name string) error {
	if strings.HasPrefix(l.PathBase(name), "OPTIONS-") {
		f, err := l.Open(old)
		if err != nil {
			return err
		}
		sum := crc32.New(castagnoli)
		size, err := io.Copy(sum, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		defer l.note(entry{Name: l.PathBase(name), Size: size, Sum: sum.Sum32()})
	}
	return l.FS.Rename(old, name)
}

// format notes the version of the database's format.
func (l *ledger) format(version uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.account.Format = version
	return errors.Join(l.write(), l.file.Sync())
}

// Create implements [vfs.FS].
func (l *ledger) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := l.FS.Create(name, category)
	return l.noted(name, f), err
}

// ReuseForWrite implements [vfs.FS].
func (l *ledger) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := l.forget(old); err != nil {
		return nil, err
	}
	f, err := l.FS.ReuseForWrite(old, name, category)
	return l.noted(name, f), err
}

func (l *ledger) noted(path string, f vfs.File) vfs.File {
	if name := l.PathBase(path); f != nil && appended(name) {
		return &notedFile{File: f, l: l, entry: entry{Name: name}}
	}
	return f
}

// Remove implements [vfs.FS].
func (l *ledger) Remove(name string) error {
	if err := l.forget(name); err != nil {
		return err
	}
	return l.FS.Remove(name)
}

// forget notes, durably, that a file is needed no more.
func (l *ledger) forget(path string) error {
	name := l.PathBase(path)
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.find(name)
	if at < 0 {
		return nil
	}
	l.account.Files = slices.Delete(l.account.Files, at, at+1)
	return errors.Join(l.write(), l.file.Sync())
}

func (l *ledger) find(name string) int {
	return slices.IndexFunc(l.account.Files, func(e entry) bool { return e.Name == name })
}

// note notes how much of a file is synced.
func (l *ledger) note(e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := l.find(e.Name); at >= 0 {
		l.account.Files[at] = e
	} else {
		l.account.Files = append(l.account.Files, e)
	}
	if err := l.write(); err != nil && time.Since(l.warned) > time.Minute {
		l.warned = time.Now()
		slog.Warn("the store's ledger cannot be written", slog.Any("error", err))
	}
}

// keep notes that what is synced by now must not be lost.
func (l *ledger) keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.account.Files {
		if strings.HasSuffix(e.Name, ".log") && e.Name >= l.account.Keep.Name {
			l.account.Keep = e
		}
	}
	_ = l.write() // the next one says the same
}

// notedFile is a file that is noted.
type notedFile struct {
	vfs.File
	l *ledger

	mu    sync.Mutex
	entry entry
}

// Write implements [vfs.File], which lets a file change p: so what is written is
// looked at before it is.
func (f *notedFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.entry.Sum
	sum := crc32.Update(before, castagnoli, p)
	n, err := f.File.Write(p)
	if n < len(p) {
		sum = crc32.Update(before, castagnoli, p[:n])
	}
	f.entry.Size += int64(n)
	f.entry.Sum = sum
	return n, err
}

// Sync implements [vfs.File].
func (f *notedFile) Sync() error { return f.synced(f.File.Sync) }

// SyncData implements [vfs.File].
func (f *notedFile) SyncData() error { return f.synced(f.File.SyncData) }

func (f *notedFile) synced(sync func() error) error {
	f.mu.Lock()
	written := f.entry
	f.mu.Unlock()
	if err := sync(); err != nil {
		return err
	}
	f.l.note(written)
	return nil
}
