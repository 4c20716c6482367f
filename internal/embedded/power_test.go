package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/twmb/franz-go/pkg/kgo"
	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
)

// disk forgets what was not synced: it notes how much of each file was, and which
// names of each directory, and makes of that what is there after a power cut.
type disk struct {
	mu    sync.Mutex
	sizes map[string]int64    // of files, when they were synced
	names map[string][]string // in directories, when they were
	fail  error
}

func (d *disk) sync(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var names []string
	if info.IsDir() {
		entries, err := os.ReadDir(f.Name())
		if err != nil {
			return err
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	time.Sleep(time.Millisecond) // as a disk takes
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	if info.IsDir() {
		d.names[f.Name()] = names
	} else {
		d.sizes[f.Name()] = info.Size()
	}
	return nil
}

// after is the directory as it is after a power cut: each segment as long as it was
// when it was last synced, and only where its directory was synced with it. Of the
// files beside the segments, which kfake writes, those stay that it syncs itself.
func (d *disk) after(t *testing.T, dir string) string {
	t.Helper()
	d.mu.Lock()
	sizes, names := maps.Clone(d.sizes), maps.Clone(d.names)
	d.mu.Unlock()
	left := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || path == dir {
			return err
		}
		if !slices.Contains(names[filepath.Dir(path)], e.Name()) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		to := filepath.Join(left, strings.TrimPrefix(path, dir))
		if e.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if size, synced := sizes[path]; synced {
			data = data[:size]
		} else if filepath.Ext(path) != ".json" {
			data = nil
		}
		return os.WriteFile(to, data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func open(t testing.TB, o Options) (*Broker, kafka.Config) {
	t.Helper()
	b, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	c := kafka.Config{Brokers: b.Addrs(), SASL: b.SASL(), Partitions: 4, RetentionBytes: 64 << 20, Trimmed: true, Uncompressed: true, Timeout: 2 * time.Second}
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Fatal(errors.Join(err, b.Close()))
	}
	if err := b.Settle(); err != nil {
		t.Fatal(errors.Join(err, b.Close()))
	}
	return b, c
}

// logged are the ids of the events in the log.
func logged(t *testing.T, dir string) map[string]int {
	t.Helper()
	b, c := open(t, Options{Dir: dir})
	defer func() { _ = b.Close() }()
	client, err := kgo.NewClient(c.Options(kgo.ConsumeTopics(chat.TopicRooms))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	log, err := kafka.NewLog(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	// Where each partition ends, an event of a room of it says so.
	ends := make(map[string]bool)
	for i := range 16 {
		e := event(fmt.Sprint("end-", i), chat.RoomID(fmt.Sprint("room-", i)))
		if err := log.Append(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
		ends[e.ID] = true
	}
	ids := make(map[string]int)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(ends) > 0 {
		fetches := client.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			e, err := c.Event(r)
			if err != nil {
				t.Error(err)
				return
			}
			if ends[e.ID] {
				delete(ends, e.ID)
				return
			}
			ids[e.ID]++
		})
	}
	return ids
}

func event(id string, room chat.RoomID) chat.Event {
	e, err := chat.NewEvent(id, "alice", chat.MessagePosted, room, chat.Posted{Text: strings.Repeat("tick tock ", 200)})
	if err != nil {
		panic(err) // text can be encoded
	}
	return e
}

// appendUntil appends events from several goroutines until stop, and notes those
// that were acknowledged.
func appendUntil(t *testing.T, c kafka.Config, stop <-chan struct{}, acked *sync.Map) error {
	t.Helper()
	log, err := kafka.NewLog(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var g errgroup.Group
	for w := range 16 {
		g.Go(func() error {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return nil
				default:
				}
				e := event(fmt.Sprintf("%d-%d", w, i), chat.RoomID(fmt.Sprint("room-", w)))
				if err := log.Append(context.Background(), &e); err != nil {
					return err
				}
				acked.Store(e.ID, true)
			}
		})
	}
	return g.Wait()
}

// follow notes the events that a follower of the log is given, until ctx ends.
func follow(ctx context.Context, t *testing.T, c kafka.Config, seen *sync.Map) error {
	t.Helper()
	client, err := kgo.NewClient(c.Options(kgo.ConsumeTopics(chat.TopicRooms), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if e, err := c.Event(r); err == nil && e.Type == chat.MessagePosted {
				seen.Store(e.ID, true)
			}
		})
	}
	return nil
}

// cut appends, cuts the power in the middle of it, and returns how many of the
// events that had been acknowledged by then, or that somebody had been given who
// follows the log, are gone.
func cut(t *testing.T, o Options, after time.Duration) (promises, lost int) {
	t.Helper()
	d := &disk{sizes: make(map[string]int64), names: make(map[string][]string)}
	o.Dir, o.sync = filepath.Join(t.TempDir(), "log"), d.sync
	b, c := open(t, o)
	if o.NoSync { // it has begun in peace
		if err := newSyncer(o.Dir, d.sync).close(); err != nil {
			t.Fatal(err)
		}
	}
	stop := make(chan struct{})
	var ids sync.Map
	ended := make(chan error, 1)
	go func() { ended <- appendUntil(t, c, stop, &ids) }()
	following, leave := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return follow(following, t, c, &ids) })
	time.Sleep(after)                 // the cut comes at a time, whatever is being done
	promised := make(map[string]bool) // before what is left is looked at
	ids.Range(func(id, _ any) bool {
		promised[id.(string)] = true
		return true
	})
	left := d.after(t, o.Dir)
	close(stop)
	leave()
	if err := errors.Join(<-ended, g.Wait(), b.Close()); err != nil {
		t.Fatal(err)
	}
	found := logged(t, left)
	for id := range promised {
		if found[id] == 0 {
			lost++
		}
	}
	return len(promised), lost
}

func TestPowerCut(t *testing.T) {
	for _, after := range []time.Duration{50 * time.Millisecond, 300 * time.Millisecond, time.Second} { // the last one over several segments
		acked, lost := cut(t, Options{}, after)
		if acked == 0 || lost > 0 {
			t.Errorf("after %v: %d of %d acknowledged events are lost", after, lost, acked)
		}
	}
}

// Without syncs the test's disk does forget, so it would tell if they were missing.
func TestPowerCutWithoutSync(t *testing.T) {
	if acked, lost := cut(t, Options{NoSync: true}, 300*time.Millisecond); lost == 0 {
		t.Errorf("all of %d events survived without a sync: the test proves nothing", acked)
	}
}

// After a sync that failed nothing is acknowledged, whatever the next one says.
func TestFailedSync(t *testing.T) {
	d := &disk{sizes: make(map[string]int64), names: make(map[string][]string)}
	b, c := open(t, Options{Dir: filepath.Join(t.TempDir(), "log"), sync: d.sync})
	defer func() { _ = b.Close() }()
	log, err := kafka.NewLog(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	e := event("before", "room")
	if err := errors.Join(log.Append(t.Context(), &e), b.Err()); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.fail = errors.New("input/output error")
	d.mu.Unlock()
	for i := range 2 {
		e := event(fmt.Sprint("after-", i), "room")
		if err := log.Append(t.Context(), &e); chat.KindOf(err) != chat.Unavailable || err == nil {
			t.Errorf("got %v, want Unavailable", err)
		}
		d.mu.Lock()
		d.fail = nil
		d.mu.Unlock()
	}
	if err := b.Err(); chat.KindOf(err) != chat.Unavailable || err == nil {
		t.Errorf("the broker says %v, want Unavailable", err)
	}
}
