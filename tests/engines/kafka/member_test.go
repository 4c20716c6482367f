package kafka_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/wait/waittest"
	engine "knatter.dev/chat/tests/engines/kafka"
)

// memberOf is set for a process of this test's binary that is to be a member of a
// group, so that it can be killed.
const memberOf = "KNATTER_TEST_MEMBER_OF"

func TestMain(m *testing.M) {
	if group := os.Getenv(memberOf); group != "" {
		if err := beMember(group); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func groupFunction(group string) chat.EventFunction {
	return chat.EventFunction{Name: "member", Topic: chat.TopicRooms, Group: group, Ordered: true, Types: []chat.Type{chat.MessagePosted}}
}

// handling is one call's part for one event: a line of a member's output.
type handling struct {
	Room     chat.RoomID
	Sequence chat.Sequence
	Began    time.Time
}

// beMember writes a line for each event it handles, until it is told to stop.
func beMember(group string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	env := make(map[string]string)
	for _, setting := range os.Environ() {
		name, value, _ := strings.Cut(setting, "=")
		env[name] = value
	}
	cfg, err := open.LogConfig(env)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	return dispatch.New(cfg, groupFunction(group), handlerFunc(func(_ context.Context, events []chat.Event) error {
		began := time.Now()
		time.Sleep(time.Millisecond) // work, so that there is some in flight
		mu.Lock()
		defer mu.Unlock()
		for _, e := range events {
			if err := out.Encode(handling{e.Room, e.Sequence, began}); err != nil {
				return err
			}
		}
		return nil
	}), dispatch.Options{MaxBatch: 20, Logger: slog.New(slog.DiscardHandler)}).Run(ctx)
}

type handlerFunc func(ctx context.Context, events []chat.Event) error

func (f handlerFunc) HandleEvents(ctx context.Context, events []chat.Event) error {
	return f(ctx, events)
}

// group collects what its members, processes of their own, handle.
type group struct {
	t    *testing.T
	name string

	mu   sync.Mutex
	done []handling
}

type member struct {
	*exec.Cmd
	read chan struct{} // closed when all it wrote is read
}

func (g *group) start() *member {
	g.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), memberOf+"="+g.name)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	must(g.t, err)
	must(g.t, cmd.Start())
	m := &member{cmd, make(chan struct{})}
	go func() {
		defer close(m.read)
		g.collect(out)
	}()
	g.t.Cleanup(func() { m.end(os.Kill) })
	return m
}

func (g *group) collect(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var h handling
		if json.Unmarshal(lines.Bytes(), &h) != nil {
			continue // cut off by a kill
		}
		g.mu.Lock()
		g.done = append(g.done, h)
		g.mu.Unlock()
	}
}

// end signals a member and waits for its end.
func (m *member) end(with os.Signal) {
	_ = m.Process.Signal(with) // may have ended
	<-m.read
	_ = m.Wait()
}

func (g *group) handled() map[place]time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := make(map[place]time.Time)
	for _, h := range g.done {
		at := place{h.Room, h.Sequence}
		if began, ok := first[at]; !ok || h.Began.Before(began) {
			first[at] = h.Began
		}
	}
	return first
}

// until waits until so many different events are handled.
func (g *group) until(n int) map[place]time.Time {
	g.t.Helper()
	var handled map[place]time.Time
	if !waittest.Holds(time.Minute, func() bool { handled = g.handled(); return len(handled) >= n }) {
		g.t.Fatalf("%d events handled, want %d", len(handled), n)
	}
	return handled
}

// Members of one group come, stop and are killed in the middle of the load: each
// event is handled, and for the first time in its room's order.
func TestRebalanceInTheMiddleOfTheLoad(t *testing.T) {
	cluster := engine.StartCluster(t, engine.Options{})
	cfg := topics(t, cluster)
	log := kafkatest.Log(t, cfg)
	g := &group{t: t, name: "test-members"}

	const rooms = 12
	var sent []place
	load := func(n int) {
		t.Helper()
		for i := range n {
			events := make([]*chat.Event, rooms)
			for r := range events {
				e, err := chat.NewEvent(fmt.Sprintf("%d-%d-%d", len(sent), i, r), "alice", chat.MessagePosted, chat.RoomID(fmt.Sprint("room-", r)), chat.Posted{Text: "hi"})
				must(t, err)
				events[r] = &e
			}
			must(t, log.Append(t.Context(), events...))
			for _, e := range events {
				sent = append(sent, place{e.Room, e.Sequence})
			}
		}
	}
	first := g.start()
	load(50)
	g.until(len(sent))
	second := g.start()
	load(200) // while the second gets its share
	third := g.start()
	load(200)
	third.end(os.Interrupt)
	load(200)
	g.until(len(sent) / 2)
	if again := len(g.done) - len(g.handled()); again > 0 {
		t.Errorf("%d were handled again, though nobody was killed", again)
	}
	first.end(os.Kill)
	load(200)
	handled := g.until(len(sent))
	second.end(os.Interrupt)

	slices.SortFunc(sent, func(a, b place) int { return int(a.sequence - b.sequence) })
	last := make(map[chat.RoomID]time.Time)
	for _, at := range sent {
		began, ok := handled[at]
		switch {
		case !ok:
			t.Errorf("%v in %s was never handled", at.sequence, at.room)
		case began.Before(last[at.room]):
			t.Errorf("%v in %s was handled before the one before", at.sequence, at.room)
		}
		last[at.room] = began
	}
	t.Logf("%d events, %d handled again after the kill", len(sent), len(g.done)-len(handled))
}
