package pebble

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/wait/waittest"
)

func event(t testing.TB, room chat.RoomID, id string, seq chat.Sequence) chat.Event {
	t.Helper()
	e, err := chat.NewEvent(id, "alice", chat.MessagePosted, room, chat.Posted{Text: "text of " + id})
	if err != nil {
		t.Fatal(err)
	}
	e.Sequence = seq
	return e
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	if chat.KindOf(err) != chat.Unavailable {
		t.Fatalf("got %v, want an Unavailable error", err)
	}
}

// fill writes something to every store.
func fill(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	must(t, s.Events().Put(ctx, []chat.Event{event(t, "room", "1", 1)}))
	joined, err := chat.NewEvent("j", "alice", chat.MemberJoined, "room", chat.MemberData{User: "alice", Nickname: "al", Role: chat.Owner})
	must(t, err)
	joined.Sequence = 2
	must(t, s.Rooms().Apply(ctx, []chat.Event{joined}))
	must(t, s.Accounts().Create(ctx, chat.Account{ID: "alice", Email: "a@example.com"}))
	must(t, s.Accounts().Befriend(ctx, "alice", "bob"))
	must(t, s.Sessions().Open(ctx, chat.Session{ID: "s", User: "alice", Refresh: "h", Expires: time.Now().Add(time.Hour)}))
	must(t, s.Routes().Apply(ctx, []chat.RouteChange{{Stream: "room", Connector: 3, Open: true, Sequence: 3}}))
	must(t, s.Index().Put(ctx, []chat.Document{{Room: "room", Sequence: 1, Source: "/users/alice", ID: "1", Time: time.Now(), Terms: []string{"term"}}}))
}

// wantFilled checks that what fill wrote is there.
func wantFilled(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	events, _, err := s.Events().Messages(ctx, "room", chat.Range{Limit: 10})
	must(t, err)
	rooms, err := s.Rooms().RoomsOf(ctx, "alice")
	must(t, err)
	_, err = s.Accounts().ByEmail(ctx, "A@example.com")
	must(t, err)
	friends, err := s.Accounts().Friends(ctx, "alice")
	must(t, err)
	_, err = s.Sessions().Rotate(ctx, "s", "h", "h", time.Now(), time.Now().Add(time.Hour))
	must(t, err)
	connectors, err := s.Routes().Connectors(ctx, []chat.StreamID{"room"})
	must(t, err)
	hits, _, err := s.Index().Search(ctx, chat.Query{Rooms: []chat.RoomID{"room"}, Words: []chat.Word{{Any: [][]string{{"term"}}}}, From: []chat.UserID{"alice"}, Limit: 1})
	must(t, err)
	if len(events) != 1 || len(rooms) != 1 || len(friends) != 1 || !slices.Equal(connectors["room"], []int{3}) || len(hits) != 1 {
		t.Fatalf("got %v %v %v %v %v", events, rooms, friends, connectors, hits)
	}
}

func TestReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a new", "directory")
	for i := range 3 {
		s, err := Open(dir)
		must(t, err)
		if i == 0 {
			fill(t, s)
		}
		wantFilled(t, s)
		must(t, s.Close())
		wantUnavailable(t, s.Close())
		wantUnavailable(t, s.Events().Put(t.Context(), []chat.Event{event(t, "room", "2", 2)}))
		_, err = s.Routes().Connectors(t.Context(), []chat.StreamID{"room"})
		wantUnavailable(t, err)
	}
}

// TestMain is also the other process of TestLock.
func TestMain(m *testing.M) {
	if dir := os.Getenv("PEBBLE_TEST_OPEN"); dir != "" {
		_, err := Open(dir)
		fmt.Print(err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	must(t, err)
	defer func() { must(t, s.Close()) }()

	other := exec.CommandContext(t.Context(), os.Args[0])
	other.Env = append(os.Environ(), "PEBBLE_TEST_OPEN="+dir)
	out, err := other.Output()
	must(t, err)
	_, here := Open(dir)
	wantUnavailable(t, here)
	for _, got := range []string{string(out), here.Error()} {
		if !strings.Contains(got, dir) || !strings.Contains(got, "in use by another process") {
			t.Errorf("got %q", got)
		}
	}
	fill(t, s) // the attempts have done no harm
}

func TestUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(file)
	wantUnavailable(t, err)
	if !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "in use") {
		t.Errorf("got %q", err)
	}
}

func TestOtherSchema(t *testing.T) {
	fs := vfs.NewMem()
	s, err := open("db", withFS(fs))
	must(t, err)
	b := s.db.NewBatch()
	must(t, b.Set([]byte{kindSchema}, []byte("999"), nil))
	must(t, s.commit(b, nil))
	must(t, s.Close())
	_, err = open("db", withFS(fs))
	wantUnavailable(t, err)
	if !strings.Contains(err.Error(), `"999"`) {
		t.Errorf("got %q", err)
	}
}

// TestPowerCut cuts the power while events and documents are being written: what
// was acknowledged is there afterwards, and history and index open cleanly.
func TestPowerCut(t *testing.T) {
	for seed := range uint64(10) {
		fs := vfs.NewCrashableMem()
		s, err := open("db", withFS(fs))
		must(t, err)
		s.index.enough.documents = 7 // sealing is not synced, and must not need it
		fill(t, s)
		const writers, each = 4, 60
		var acked [writers]atomic.Int64
		var wg sync.WaitGroup
		cut := make(chan struct{})
		for w := range writers {
			wg.Go(func() {
				room := chat.RoomID(fmt.Sprint("room-", w))
				for n := int64(1); n <= each; n++ {
					e := event(t, room, fmt.Sprint(n), chat.Sequence(n))
					doc := chat.Document{Room: room, Sequence: e.Sequence, Source: e.Source, ID: e.ID, Time: e.Time, Terms: []string{"term"}}
					if err := errors.Join(s.Events().Put(t.Context(), []chat.Event{e}), s.Index().Put(t.Context(), []chat.Document{doc})); err != nil {
						t.Error(err)
					}
					acked[w].Store(n)
					if w == 0 && n == each/2 {
						close(cut)
					}
				}
			})
		}
		<-cut
		var want [writers]int64
		for w := range want {
			want[w] = acked[w].Load()
		}
		after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(seed) * 10, RNG: rand.New(rand.NewPCG(seed, seed))})
		wg.Wait()
		must(t, s.Close())

		s, err = open("db", withFS(after))
		must(t, err)
		wantFilled(t, s)
		for w, n := range want {
			room := chat.RoomID(fmt.Sprint("room-", w))
			events, _, err := s.Events().Messages(t.Context(), room, chat.Range{Limit: each})
			must(t, err)
			hits, _, err := s.Index().Search(t.Context(), chat.Query{Rooms: []chat.RoomID{room}, Words: []chat.Word{{Any: [][]string{{"term"}}}}, Limit: each})
			must(t, err)
			if int64(len(events)) < n || int64(len(hits)) < n {
				t.Fatalf("seed %d: %d events and %d hits are left of %d acknowledged", seed, len(events), len(hits), n)
			}
		}
		must(t, s.Close())
	}
}

// TestLogFailure makes the database's log fail: that is the end of the store,
// not of the process.
func TestLogFailure(t *testing.T) {
	var broken atomic.Bool
	mem := vfs.NewMem()
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.HasSuffix(op.Path, ".log") {
			return errorfs.ErrInjected
		}
		return nil
	}))
	s, err := open("db", withFS(fs))
	must(t, err)
	fill(t, s)
	broken.Store(true)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := s.Events().Put(t.Context(), []chat.Event{event(t, "room", fmt.Sprint("new-", i), chat.Sequence(10+i))}); chat.KindOf(err) != chat.Unavailable {
				t.Errorf("got %v, want an Unavailable error", err)
			}
		})
	}
	wg.Wait()
	broken.Store(false)
	_, _, err = s.Events().Messages(t.Context(), "room", chat.Range{Limit: 1})
	wantUnavailable(t, err)
	wantUnavailable(t, s.Check(t.Context()))
	wantUnavailable(t, s.Close())
}

// TestFlushFailure makes flushing fail for a while: writes are refused, and go on
// when it succeeds again.
func TestFlushFailure(t *testing.T) {
	var broken atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, ".sst") {
			return errorfs.ErrInjected
		}
		return nil
	}))
	s, err := open("db", withFS(fs))
	must(t, err)
	fill(t, s)
	broken.Store(true)
	flushed, err := s.db.AsyncFlush()
	must(t, err)
	waittest.Until(t, "the disk is full", func() bool { return s.Check(t.Context()) != nil })
	wantUnavailable(t, s.Events().Put(t.Context(), []chat.Event{event(t, "room", "2", 2)}))
	wantFilledEvents(t, s, 1) // reading goes on
	broken.Store(false)
	<-flushed
	waittest.Until(t, "there is room again", func() bool { return s.Check(t.Context()) == nil })
	must(t, s.Events().Put(t.Context(), []chat.Event{event(t, "room", "2", 2)}))
	wantFilledEvents(t, s, 2)
	must(t, s.Close())
}

func wantFilledEvents(t *testing.T, s *Store, n int) {
	t.Helper()
	events, _, err := s.Events().Messages(t.Context(), "room", chat.Range{Limit: 10})
	must(t, err)
	if len(events) != n {
		t.Fatalf("%d messages, want %d", len(events), n)
	}
}

// fullDisk has as much free space as it is told.
type fullDisk struct {
	vfs.FS
	free atomic.Uint64
}

func (d *fullDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{TotalBytes: 1 << 40, AvailBytes: d.free.Load()}, nil
}

func TestFullDisk(t *testing.T) {
	disk := &fullDisk{FS: vfs.NewMem()}
	disk.free.Store(1 << 30)
	s, err := open("db", withFS(disk), WithReserve(1<<29))
	must(t, err)
	fill(t, s)
	disk.free.Store(1<<29 - 1)
	s.health.looked.Store(0) // a second later
	err = s.Events().Put(t.Context(), []chat.Event{event(t, "room", "2", 2)})
	wantUnavailable(t, err)
	if !strings.Contains(err.Error(), "full") {
		t.Errorf("got %q", err)
	}
	wantFilledEvents(t, s, 1)
	disk.free.Store(1 << 30)
	s.health.looked.Store(0)
	must(t, s.Events().Put(t.Context(), []chat.Event{event(t, "room", "2", 2)}))
	must(t, s.Close())
}
