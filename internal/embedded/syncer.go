package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
)

// syncer syncs the log's files in rounds. Every waiter waits for the next round, which
// syncs the newest segment of each partition once, however much was appended to it.
//
// Only segments are synced. Indexes are recreated if they are missing, and the stores
// know better than the groups' file what was handled.
type syncer struct {
	dir    string // the log's directory
	sync   func(*os.File) error
	wake   chan struct{} // signals that somebody waits
	ended  chan struct{} // closed when the goroutine has ended
	parts  map[string]*partition
	parent *os.File // the partitions' directory; like parts, used by the goroutine only

	mu      sync.Mutex
	waiting []chan<- error
	err     error // of a failed sync, after which nothing is acknowledged
	closed  bool
}

// newSyncer starts a syncer; close stops it.
func newSyncer(dir string, sync func(*os.File) error) *syncer {
	s := &syncer{
		dir: dir, sync: sync,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
		parts: make(map[string]*partition),
	}
	if s.sync == nil {
		s.sync = (*os.File).Sync
	}
	go s.run()
	return s
}

// wait returns when everything that was written before the call is synced. Errors:
// Unavailable if that is unknown; then it remains so.
func (s *syncer) wait() error {
	done := make(chan error, 1)
	s.mu.Lock()
	if s.err != nil || s.closed {
		defer s.mu.Unlock()
		return cmp.Or(s.err, chat.Errorf(chat.Unavailable, "the log is closed"))
	}
	s.waiting = append(s.waiting, done)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	s.mu.Unlock()
	return <-done
}

func (s *syncer) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *syncer) run() {
	defer close(s.ended)
	for range s.wake {
		s.mu.Lock()
		waiting := s.waiting
		s.waiting = nil
		err := s.err
		s.mu.Unlock()
		if len(waiting) == 0 {
			continue
		}
		if err == nil {
			err = s.fail(s.round())
		}
		for _, done := range waiting {
			done <- err
		}
	}
}

// fail keeps the first error. After a failed sync the system may have dropped what it
// could not write, and the next sync would succeed nevertheless.
func (s *syncer) fail(err error) error {
	if err == nil {
		return nil
	}
	slog.Error("syncing the log failed; restart the process", slog.String("dir", s.dir), slog.Any("error", err))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = cmp.Or(s.err, chat.Errorf(chat.Unavailable, "syncing the log in %s: %w", s.dir, err))
	return s.err
}

// settle syncs everything that there is, and where it is.
func (s *syncer) settle() error {
	if err := s.wait(); err != nil {
		return err
	}
	for _, dir := range []string{s.dir, filepath.Dir(s.dir)} {
		if err := s.syncDir(dir); err != nil {
			return s.fail(err)
		}
	}
	return nil
}

func (s *syncer) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(s.sync(d), d.Close())
}

// close syncs the rest and stops the syncer. The log must be closed.
func (s *syncer) close() error {
	err := s.settle()
	s.mu.Lock()
	s.closed = true
	close(s.wake)
	s.mu.Unlock()
	<-s.ended
	for _, p := range s.parts {
		p.close()
	}
	if s.parent != nil {
		_ = s.parent.Close() // only read from
	}
	return err
}

// round syncs all that was written.
func (s *syncer) round() error {
	if err := s.find(); err != nil {
		return err
	}
	var g errgroup.Group
	for _, p := range s.parts {
		g.Go(func() error { return p.round(s.sync) })
	}
	return g.Wait()
}

// find finds the partitions.
func (s *syncer) find() (err error) {
	if s.parent == nil {
		if s.parent, err = os.Open(filepath.Join(s.dir, "partitions")); errors.Is(err, fs.ErrNotExist) {
			return nil // nothing appended yet
		} else if err != nil {
			return err
		}
	}
	names, err := list(s.parent)
	if err != nil {
		return err
	}
	found := false
	for _, name := range names {
		if s.parts[name] == nil && !passes(name) {
			s.parts[name] = &partition{dir: filepath.Join(s.parent.Name(), name)}
			found = true
		}
	}
	for name, p := range s.parts {
		if !slices.Contains(names, name) {
			p.close()
			delete(s.parts, name)
		}
	}
	if found {
		return s.sync(s.parent)
	}
	return nil
}

// passes reports whether a directory is that of a passing topic's partition.
func passes(name string) bool {
	at := strings.LastIndexByte(name, '-')
	return at >= 0 && slices.ContainsFunc(passing, func(topic string) bool { return url.PathEscape(topic) == name[:at] })
}

// list returns the names in an open directory.
func list(d *os.File) ([]string, error) {
	if _, err := d.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return d.Readdirnames(0)
}

// partition tracks what is synced of one partition.
type partition struct {
	dir    string
	open   *os.File // dir
	active *os.File // the newest segment
	base   int64    // its first offset
	synced int64    // bytes of it
}

// round syncs what was written since the last round: the rest of the newest segment,
// and segments begun since, with the directory that names them.
func (p *partition) round(sync func(*os.File) error) (err error) {
	if p.open == nil {
		if p.open, err = os.Open(p.dir); errors.Is(err, fs.ErrNotExist) {
			return nil // the topic was deleted
		} else if err != nil {
			return err
		}
		p.base = -1
	}
	names, err := list(p.open)
	if err != nil {
		return err
	}
	begun := false
	if err := p.rest(sync); err != nil {
		return err
	}
	for _, base := range segmentsAfter(names, p.base) {
		next, err := os.Open(filepath.Join(p.dir, strconv.FormatInt(base, 10)+".dat"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // trimmed meanwhile
		} else if err != nil {
			return err
		}
		p.closeActive()
		p.active, p.base, p.synced, begun = next, base, -1, true
		if err := p.rest(sync); err != nil {
			return err
		}
	}
	if begun {
		return sync(p.open)
	}
	return nil
}

// rest syncs what was appended to the newest segment since the last sync. Segments are
// only ever appended to.
func (p *partition) rest(sync func(*os.File) error) error {
	if p.active == nil {
		return nil
	}
	info, err := p.active.Stat()
	if err != nil {
		return err
	}
	if info.Size() == p.synced {
		return nil
	}
	if err := sync(p.active); err != nil {
		return fmt.Errorf("%s: %w", p.active.Name(), err)
	}
	p.synced = info.Size()
	return nil
}

// segmentsAfter returns the first offsets of the segments after one, in order.
func segmentsAfter(names []string, base int64) []int64 {
	var bases []int64
	for _, name := range names {
		number, ok := strings.CutSuffix(name, ".dat")
		if !ok {
			continue
		}
		if n, err := strconv.ParseInt(number, 10, 64); err == nil && n > base {
			bases = append(bases, n)
		}
	}
	slices.Sort(bases)
	return bases
}

func (p *partition) closeActive() {
	if p.active != nil {
		_ = p.active.Close() // only read from
		p.active = nil
	}
}

func (p *partition) close() {
	p.closeActive()
	if p.open != nil {
		_ = p.open.Close() // only read from
	}
}
