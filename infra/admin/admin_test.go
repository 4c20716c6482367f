package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/wait/waittest"
)

// admin runs a command and returns its exit code and what it prints and complains.
func admin(t *testing.T, environ []string, args ...string) (code int, out, complaint string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	code = execute(t.Context(), args, environ, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// does wants a command to end well.
func does(t *testing.T, environ []string, args ...string) string {
	t.Helper()
	code, out, complaint := admin(t, environ, args...)
	if code != 0 {
		t.Fatalf("admin %v: exit code %d, %s%s", args, code, out, complaint)
	}
	return out
}

func environOf(c kafka.Config) []string {
	return []string{"KNATTER_BROKERS=" + strings.Join(c.Brokers, ","), "KNATTER_PARTITIONS=4", "KNATTER_DELIVERY_PARTITIONS=4"}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--help", 0, "wipe-index"},
		{"", 2, "Usage: admin COMMAND"},
		{"nonsense", 2, `no command "nonsense"`},
		{"dead-letters", 2, `no command "dead-letters"`},
		{"dead-letters list --help", 0, "Usage: admin dead-letters list [flags]"},
		{"dead-letters list x", 2, `unexpected argument "x"`},
		{"topics", 2, "KNATTER_BROKERS or --brokers must be set"},
		{"topics --help", 0, "--retention-bytes bytes  KNATTER_RETENTION_BYTES"},
		{"wipe-index", 2, "KNATTER_STORE or --store must be set"},
		{"wipe-index --store nonsense", 2, "KNATTER_STORE: "},
		{"rewind --brokers b:1", 2, "one group must be named: knatter-persist, knatter-index, knatter-fanout"},
		{"rewind --brokers b:1 others", 2, "one group must be named"},
		{"rewind --brokers b:1 index persist", 2, "one group must be named"},
		{"rewind --brokers b:1 index --to yesterday", 2, "--to must be"},
		{"rewind --brokers b:1 index --to 7", 2, "--partition must be set"},
		{"rewind --brokers b:1 index --to -7 --partition 1", 2, "above 0"},
		{"rewind --brokers b:1 index --partition 1", 2, "goes with an offset"},
	} {
		code, out, complaint := admin(t, nil, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+complaint, c.want) {
			t.Errorf("admin %s: exit code %d, %s%s, want %d, %q", c.args, code, out, complaint, c.code, c.want)
		}
	}
}

func TestTopics(t *testing.T) {
	c := kafkatest.Empty(t)
	environ := environOf(c)
	for range 2 { // the second time all are there
		out := does(t, environ, "topics", "--retention-bytes=-1")
		for _, want := range []string{"chat.rooms       4           1         4        0", "chat.dead        1           1         0        0", "knatter-index    0        4"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
	}
	if code, _, complaint := admin(t, environ, "topics", "--partitions", "5"); code != 2 || !strings.Contains(complaint, "moves rooms") {
		t.Errorf("another number of partitions: %d, %s", code, complaint)
	}
}

// refusing is an index function that refuses everything, as long as it is told to.
type refusing struct {
	mu      sync.Mutex
	status  int
	handled map[chat.Sequence]int
}

func (f *refusing) answer(status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = status
}

func (f *refusing) HandleEvents(_ context.Context, events []chat.Event) error {
	for _, e := range events {
		f.handled[e.Sequence]++
	}
	return nil
}

func (f *refusing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status != 0 {
		http.Error(w, "not \x1b[2J today", f.status)
		return
	}
	serve.Events(f, nil).ServeHTTP(w, r)
}

// follow lets the index function's group go on until it is done with everything.
func follow(t *testing.T, c kafka.Config, url string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	fn := chat.Index
	go func() { ended <- dispatch.New(c, fn, dispatch.HTTP(url, nil), dispatch.Options{}).Run(ctx) }()
	waittest.Until(t, "index has handled the log", func() bool {
		_, groups, err := kafka.State(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return groups[1].Lag == 0
	})
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func post(t *testing.T, c kafka.Config, n int) (last chat.Event) {
	t.Helper()
	log, err := kafka.NewLog(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for i := range n {
		if last, err = chat.NewEvent(fmt.Sprint("id-", i), "alice", chat.MessagePosted, "room", chat.Posted{Text: "private words"}); err != nil {
			t.Fatal(err)
		}
		if err := log.Append(t.Context(), &last); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

func TestDeadLetters(t *testing.T) {
	c := kafkatest.Start(t)
	f := &refusing{status: http.StatusNotFound, handled: make(map[chat.Sequence]int)}
	server := httptest.NewServer(f)
	defer server.Close()
	environ := environOf(c)
	if out := does(t, environ, "dead-letters", "list"); strings.Count(out, "\n") != 1 {
		t.Errorf("a list of none:\n%s", out)
	}
	last := post(t, c, 3)
	follow(t, c, server.URL)

	// One that is no event at all, as a Knative source may leave one behind.
	client, err := kgo.NewClient(c.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: chat.TopicDead, Value: []byte("?")}).FirstErr(); err != nil {
		t.Fatal(err)
	}

	out := does(t, environ, "dead-letters", "list")
	for _, want := range []string{"0/0", "0/1", "0/2", "index", "404", "message.posted", "room", last.Sequence.String(), "id-2", "not  [2J today", "0/3", "no event"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "private") || strings.Contains(out, "\x1b") || strings.Count(out, "\n") != 5 {
		t.Errorf("the list:\n%q", out)
	}
	if out := does(t, environ, "dead-letters", "list", "--function", "persist"); strings.Count(out, "\n") != 1 {
		t.Errorf("another function's:\n%s", out)
	}

	// Still refused, then away: nothing is lost.
	for _, status := range []int{http.StatusNotFound, http.StatusServiceUnavailable} {
		f.answer(status)
		if code, out, _ := admin(t, environ, "dead-letters", "replay", "--function=index"); code != 1 || !strings.Contains(out, "0 replayed, 3 not") {
			t.Errorf("refused again: %d, %s", code, out)
		}
	}
	f.answer(0)
	if out := does(t, environ, "dead-letters", "replay", "0/1"); !strings.Contains(out, "0/1 replayed: index message.posted of room\n1 replayed, 0 not") {
		t.Errorf("one alone: %s", out)
	}
	if code, _, complaint := admin(t, environ, "dead-letters", "replay", "0/99"); code != 1 || !strings.Contains(complaint, "no dead letter at 0/99") {
		t.Errorf("one that is not there: %d, %s", code, complaint)
	}
	if code, out, _ := admin(t, environ, "dead-letters", "replay"); code != 1 || !strings.Contains(out, "2 replayed, 1 not") {
		t.Errorf("the others: %d, %s", code, out)
	}
	if len(f.handled) != 3 || f.handled[last.Sequence] != 1 {
		t.Errorf("handled: %v", f.handled)
	}
	if out := does(t, environ, "dead-letters", "list"); strings.Count(out, "\n") != 2 || !strings.Contains(out, "0/3") {
		t.Errorf("what is left:\n%s", out)
	}
	if out := does(t, environ, "dead-letters", "list", "--all"); strings.Count(out, "(replayed)") != 3 {
		t.Errorf("all:\n%s", out)
	}
	out = does(t, environ, "dead-letters", "replay", "0/2")
	total := 0
	for _, n := range f.handled {
		total += n
	}
	if total != 4 {
		t.Errorf("again, by its name: handled %v, %s", f.handled, out)
	}
	// Elsewhere by now: what is set counts before what the letter says.
	moved := httptest.NewServer(f)
	defer moved.Close()
	server.Close()
	if code, out, _ := admin(t, environ, "dead-letters", "replay", "0/2"); code != 1 || !strings.Contains(out, "0/2 not replayed") {
		t.Errorf("to where it was: %d, %s", code, out)
	}
	does(t, append(environ, "KNATTER_FUNCTION_INDEX="+moved.URL), "dead-letters", "replay", "0/2")
}

func TestRewind(t *testing.T) {
	c := kafkatest.Start(t)
	environ := environOf(c)
	f := &refusing{handled: make(map[chat.Sequence]int)}
	server := httptest.NewServer(f)
	defer server.Close()
	if out := does(t, environ, "rewind", "index"); !strings.Contains(out, "has handled nothing yet") {
		t.Errorf("a group that there is not: %s", out)
	}
	post(t, c, 5)
	between := time.Now().Add(time.Millisecond)
	time.Sleep(2 * time.Millisecond) // the log's clock has milliseconds
	last := post(t, c, 5)
	follow(t, c, server.URL)
	var handled int
	count := func() int {
		now := 0
		for _, n := range f.handled {
			now += n
		}
		before := handled
		handled = now
		return now - before
	}
	if n := count(); n != 10 {
		t.Fatalf("handled %d", n)
	}
	partition := ""
	for _, step := range []struct {
		args []string
		want int
	}{
		{nil, 10},
		{[]string{"--to", "start"}, 10},
		{[]string{"--to", between.UTC().Format(time.RFC3339Nano)}, 5},
		{[]string{"--to", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}, 0},
	} {
		out := does(t, environ, append([]string{"rewind", "knatter-index"}, step.args...)...)
		follow(t, c, server.URL)
		if n := count(); n != step.want {
			t.Errorf("%v: handled %d again, want %d:\n%s", step.args, n, step.want, out)
		}
		for line := range strings.Lines(out) {
			if words := strings.Fields(line); len(words) == 3 && words[1] == fmt.Sprint(last.Sequence.Offset()+1) {
				partition = words[0]
			}
		}
	}
	to := func(offset int64) (int, string, string) {
		return admin(t, environ, "rewind", "index", "--to", fmt.Sprint(offset), "--partition", partition)
	}
	if code, _, complaint := to(last.Sequence.Offset()); code != 0 {
		t.Errorf("to an offset: %d, %s", code, complaint)
	}
	follow(t, c, server.URL)
	if n := count(); n != 1 {
		t.Errorf("to an offset: handled %d again", n)
	}
	if code, _, complaint := to(last.Sequence.Offset() + 1); code != 1 || !strings.Contains(complaint, "would skip") {
		t.Errorf("to the end: %d, %s", code, complaint)
	}
	if code, _, complaint := admin(t, environ, "rewind", "index", "--to", "7", "--partition", "4"); code != 2 || !strings.Contains(complaint, "no partition 4") {
		t.Errorf("in a partition that there is not: %d, %s", code, complaint)
	}

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	d := dispatch.New(c, chat.Index, dispatch.HTTP(server.URL, nil), dispatch.Options{})
	go func() { ended <- d.Run(ctx) }()
	waittest.Until(t, "the dispatcher is ready", d.Ready)
	if code, _, complaint := admin(t, environ, "rewind", "index"); code != 1 || !strings.Contains(complaint, "has 1 members") {
		t.Errorf("while it is followed: %d, %s", code, complaint)
	}
	stop()
	<-ended
}

func TestWipeIndex(t *testing.T) {
	store := "pebble:" + t.TempDir()
	environ := []string{"KNATTER_STORE=" + store}
	s, err := open.Store(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	doc := chat.Document{Room: "room", Sequence: 1, Source: "/users/alice", ID: "1", Time: chat.Now(), Terms: []string{"word"}}
	if err := s.Index.Put(t.Context(), []chat.Document{doc}); err != nil {
		t.Fatal(err)
	}
	for i, sequence := range []chat.Sequence{5, 7} {
		e, err := chat.NewEvent(fmt.Sprint(i), "alice", chat.MessagePosted, "room", chat.Posted{Text: "hi"})
		if err != nil {
			t.Fatal(err)
		}
		e.Sequence = sequence
		if err := s.Events.Put(t.Context(), []chat.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, complaint := admin(t, environ, "wipe-index"); code != 1 {
		t.Errorf("while another process has the store: %d, %s", code, complaint)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	does(t, environ, "wipe-index")
	if code, _, complaint := admin(t, environ, "wipe-index", "--refill"); code != 2 || !strings.Contains(complaint, "KNATTER_FUNCTION_INDEX") {
		t.Errorf("--refill without a function: %d, %s", code, complaint)
	}
	f := &refusing{handled: make(map[chat.Sequence]int)}
	server := httptest.NewServer(f)
	defer server.Close()
	if out := does(t, environ, "wipe-index", "--refill", "--function-index", server.URL); !strings.Contains(out, "2 stored messages") || f.handled[5] != 1 || f.handled[7] != 1 {
		t.Errorf("--refill: %v, %s", f.handled, out)
	}
	if s, err = open.Store(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.Index.Dump(t.Context(), func(room chat.RoomID, term string, hit chat.Hit) error {
		return fmt.Errorf("%s %s %v is still there", room, term, hit)
	})
	if err != nil {
		t.Error(err)
	}
}
