package dispatch_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
)

var (
	ordered   = chat.EventFunction{Name: "ordered", Topic: chat.TopicRooms, Group: "test-ordered", Ordered: true, Types: []chat.Type{chat.MessagePosted}}
	unordered = chat.EventFunction{Name: "unordered", Topic: chat.TopicRooms, Group: "test-unordered", Types: []chat.Type{chat.MessagePosted}}
)

// handlerFunc is a function as a handler.
type handlerFunc func(ctx context.Context, events []chat.Event) error

func (f handlerFunc) HandleEvents(ctx context.Context, events []chat.Event) error {
	return f(ctx, events)
}

// recorder is a handler that remembers what it handled, and tells when it has
// handled so many different events.
type recorder struct {
	mu    sync.Mutex
	seen  map[chat.StreamID][]string
	times map[string]int
	wait  int
	met   chan struct{}
}

func newRecorder(wait int) *recorder {
	return &recorder{seen: make(map[chat.StreamID][]string), times: make(map[string]int), wait: wait, met: make(chan struct{})}
}

func (r *recorder) HandleEvents(_ context.Context, events []chat.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		r.times[e.ID]++
		if r.times[e.ID] > 1 {
			continue
		}
		r.seen[e.Stream] = append(r.seen[e.Stream], e.ID)
		if len(r.times) == r.wait {
			close(r.met)
		}
	}
	return nil
}

func (r *recorder) until(t *testing.T) {
	t.Helper()
	select {
	case <-r.met:
	case <-time.After(30 * time.Second):
		r.mu.Lock()
		defer r.mu.Unlock()
		t.Fatalf("handled %d different events, want %d", len(r.times), r.wait)
	}
}

// run runs a dispatcher; stop ends it and waits. The test ends it at the latest.
func run(t *testing.T, c kafka.Config, fn chat.EventFunction, target chat.Handler, opts dispatch.Options) (d *dispatch.Dispatcher, stop func()) {
	t.Helper()
	opts.MinBackoff, opts.MaxBackoff = time.Millisecond, 10*time.Millisecond
	d = dispatch.New(c, fn, target, opts)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return d, stop
}

func message(t testing.TB, room chat.RoomID, id string) *chat.Event {
	t.Helper()
	e, err := chat.NewEvent(id, "alice", chat.MessagePosted, room, chat.Posted{Text: id})
	if err != nil {
		t.Fatal(err)
	}
	return &e
}

// load appends n messages to each of some rooms, in turns.
func load(t testing.TB, l *kafka.Log, prefix string, rooms, n int) map[chat.StreamID][]string {
	t.Helper()
	want := make(map[chat.StreamID][]string)
	var events []*chat.Event
	for i := range n {
		for r := range rooms {
			e := message(t, chat.RoomID(fmt.Sprint("room-", r)), fmt.Sprintf("%s-%d-%d", prefix, r, i))
			events = append(events, e)
			want[e.Stream] = append(want[e.Stream], e.ID)
		}
	}
	if err := l.Append(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	return want
}

func client(t testing.TB, c kafka.Config, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(c.Options(opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// partitionOf is the partition of a room.
func partitionOf(c kafka.Config, room chat.RoomID) int32 {
	return int32(kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte(room)}, int(c.Partitions)))
}

// lag is what a group has not committed of a room's partition.
func lag(t testing.TB, c kafka.Config, group string, room chat.RoomID) int64 {
	t.Helper()
	admin := kadm.NewClient(client(t, c))
	ends, err := admin.ListEndOffsets(t.Context(), chat.TopicRooms)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := admin.FetchOffsets(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(chat.TopicRooms, partitionOf(c, room))
	at, _ := committed.Lookup(chat.TopicRooms, partitionOf(c, room))
	return end.Offset - at.At
}

func TestOrderedFunctionGetsEachRoomInOrder(t *testing.T) {
	c := kafkatest.Start(t)
	want := load(t, kafkatest.Log(t, c), "m", 10, 300)
	r := newRecorder(3000)
	var calls, running atomic.Int32
	d, stop := run(t, c, ordered, handlerFunc(func(ctx context.Context, events []chat.Event) error {
		if int(running.Add(1)) > int(c.Partitions) {
			t.Error("more calls at a time than partitions")
		}
		defer running.Add(-1)
		calls.Add(1)
		for i := range events {
			if i > 0 && events[i].Stream == events[i-1].Stream && events[i].Sequence <= events[i-1].Sequence {
				t.Error("sequences don't rise")
			}
		}
		return r.HandleEvents(ctx, events)
	}), dispatch.Options{})
	r.until(t)
	if !d.Ready() {
		t.Error("not ready")
	}
	stop()
	if d.Ready() {
		t.Error("ready after the stop")
	}
	if !maps.EqualFunc(r.seen, want, slices.Equal) {
		t.Error("not in the log's order")
	}
	if calls.Load() > 300 {
		t.Errorf("%d calls for 3000 waiting events: no batching", calls.Load())
	}
	if n := lag(t, c, ordered.Group, "room-0"); n != 0 {
		t.Errorf("%d not committed", n)
	}
}

func TestUnorderedFunctionGetsBatchesAtOnce(t *testing.T) {
	c := kafkatest.Start(t)
	load(t, kafkatest.Log(t, c), "m", 1, 40)
	r := newRecorder(40)
	both := make(chan struct{})
	var running atomic.Int32
	_, stop := run(t, c, unordered, handlerFunc(func(ctx context.Context, events []chat.Event) error {
		if running.Add(1) == 2 {
			close(both)
		}
		select {
		case <-both: // the first waits for a second at the same time
		case <-ctx.Done():
			t.Error("alone")
		}
		return r.HandleEvents(ctx, events)
	}), dispatch.Options{MaxBatch: 10, Concurrency: 2})
	r.until(t)
	stop()
	if n := lag(t, c, unordered.Group, "room-0"); n != 0 {
		t.Errorf("%d not committed", n)
	}
}

func TestUnfinishedBatchHoldsTheCommit(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	events := load(t, l, "m", 1, 30)["room-0"]
	rest := newRecorder(len(events) - 10)
	_, stop := run(t, c, unordered, handlerFunc(func(ctx context.Context, batch []chat.Event) error {
		if batch[0].ID == events[0] {
			<-ctx.Done()
			return ctx.Err()
		}
		return rest.HandleEvents(ctx, batch)
	}), dispatch.Options{MaxBatch: 10, Concurrency: 3, StopTimeout: 10 * time.Millisecond})
	rest.until(t)
	stop()

	// Nothing of the room is committed, as its first batch was not done.
	again := newRecorder(len(events))
	run(t, c, unordered, again, dispatch.Options{})
	again.until(t)
}

func TestRetryableFailureIsRetriedUntilItWorks(t *testing.T) {
	for _, fn := range []chat.EventFunction{ordered, unordered} {
		t.Run(fn.Name, func(t *testing.T) {
			c := kafkatest.Start(t)
			want := load(t, kafkatest.Log(t, c), "m", 1, 20)
			r := newRecorder(20)
			var failed atomic.Int32
			run(t, c, fn, handlerFunc(func(ctx context.Context, events []chat.Event) error {
				for _, e := range events {
					if e.ID == "m-0-7" && failed.Add(1) < 6 {
						if failed.Load() == 3 {
							panic("at the disco")
						}
						return chat.Errorf(chat.Unavailable, "not now")
					}
				}
				return r.HandleEvents(ctx, events)
			}), dispatch.Options{})
			r.until(t)
			if fn.Ordered && !slices.Equal(r.seen["room-0"], want["room-0"]) {
				t.Errorf("out of order: %v", r.seen["room-0"])
			}
		})
	}
}

// deadLetters reads n records of chat.dead.
func deadLetters(t *testing.T, c kafka.Config, n int) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cl := client(t, c, kgo.ConsumeTopics(chat.TopicDead), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var records []*kgo.Record
	for len(records) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d dead letters, want %d", len(records), n)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func TestRefusedEventsGoToTheDeadLettersAsTheyCame(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	load(t, l, "before", 1, 5)
	garbage := &kgo.Record{Topic: chat.TopicRooms, Key: []byte("room-0"), Value: []byte("{garbage"), Headers: []kgo.RecordHeader{{Key: "x", Value: []byte("y")}}}
	if err := client(t, c).ProduceSync(t.Context(), garbage).FirstErr(); err != nil {
		t.Fatal(err)
	}
	bad := message(t, "room-0", "bad")
	if err := l.Append(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	load(t, l, "after", 1, 5)

	r := newRecorder(10)
	_, stop := run(t, c, ordered, handlerFunc(func(ctx context.Context, events []chat.Event) error {
		if slices.ContainsFunc(events, func(e chat.Event) bool { return e.ID == "bad" }) {
			return chat.Errorf(chat.Invalid, "line one\nline two")
		}
		return r.HandleEvents(ctx, events)
	}), dispatch.Options{})
	r.until(t)
	stop()
	if n := lag(t, c, ordered.Group, "room-0"); n != 0 {
		t.Errorf("%d not committed", n)
	}

	for _, dead := range deadLetters(t, c, 2) {
		if header(dead, "ce_knativeerrordest") != "function:ordered" {
			t.Errorf("dest %q", header(dead, "ce_knativeerrordest"))
		}
		if string(dead.Key) != "room-0" {
			t.Errorf("key %q", dead.Key)
		}
		if header(dead, "x") == "y" {
			if string(dead.Value) != "{garbage" || header(dead, "ce_knativeerrorcode") != "400" {
				t.Errorf("garbage came as %q, code %q", dead.Value, header(dead, "ce_knativeerrorcode"))
			}
			continue
		}
		e, err := c.Event(dead)
		if err != nil {
			t.Fatal(err)
		}
		if e.ID != "bad" || string(e.Data) != string(bad.Data) || header(dead, "ce_knativeerrorcode") != "422" || header(dead, "ce_knativeerrordata") != "line one line two" {
			t.Errorf("came as %+v", dead)
		}
	}
}

func TestTriesCanBeLimited(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	if err := l.Append(t.Context(), message(t, "room", "poison")); err != nil {
		t.Fatal(err)
	}
	var tries atomic.Int32
	run(t, c, ordered, handlerFunc(func(context.Context, []chat.Event) error {
		tries.Add(1)
		panic("always")
	}), dispatch.Options{MaxTries: 3})
	dead := deadLetters(t, c, 1)[0]
	if tries.Load() != 3 || header(dead, "ce_knativeerrorcode") != "500" {
		t.Errorf("%d tries, code %s", tries.Load(), header(dead, "ce_knativeerrorcode"))
	}
	if data := header(dead, "ce_knativeerrordata"); strings.Contains(data, "always") {
		t.Errorf("the panic's value is told: %q", data)
	}
}

// A second member comes in the middle of the load, takes over partitions, and
// leaves again: nothing is lost, and each room stays in order.
func TestRebalanceLosesNothing(t *testing.T) {
	for _, fn := range []chat.EventFunction{ordered, unordered} {
		t.Run(fn.Name, func(t *testing.T) {
			c := kafkatest.Start(t)
			l := kafkatest.Log(t, c)
			const rooms, rounds, perRound = 8, 60, 20
			r := newRecorder(rooms * rounds * perRound)
			var second atomic.Int32
			slow := func(ctx context.Context, events []chat.Event) error {
				select {
				case <-time.After(time.Millisecond): // work, so that there is some in flight
				case <-ctx.Done():
					return ctx.Err()
				}
				return r.HandleEvents(ctx, events)
			}
			run(t, c, fn, handlerFunc(slow), dispatch.Options{MaxBatch: 20})

			want := make(map[chat.StreamID][]string)
			took := make(chan struct{})
			var stop func()
			for round := range rounds {
				for room, ids := range load(t, l, fmt.Sprint(round), rooms, perRound) {
					want[room] = append(want[room], ids...)
				}
				switch round {
				case rounds / 3:
					_, stop = run(t, c, fn, handlerFunc(func(ctx context.Context, events []chat.Event) error {
						if second.Add(1) == 1 {
							close(took)
						}
						return slow(ctx, events)
					}), dispatch.Options{MaxBatch: 20})
				case 2 * rounds / 3:
					for taken := false; !taken; { // until the second has taken over something
						select {
						case <-took:
							taken = true
						case <-time.After(10 * time.Millisecond):
							for room, ids := range load(t, l, fmt.Sprint("more-", r.expect(rooms)), rooms, 1) {
								want[room] = append(want[room], ids...)
							}
						}
					}
					stop()
				}
			}
			r.until(t)
			if fn.Ordered && !maps.EqualFunc(r.seen, want, slices.Equal) {
				t.Error("not in the log's order")
			}
			twice := 0
			for _, n := range r.times {
				twice += n - 1
			}
			if twice > 0 {
				t.Errorf("%d of %d were handled again, though both left gracefully", twice, r.wait)
			}
		})
	}
}

// expect raises what until waits for.
func (r *recorder) expect(more int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wait += more
	return r.wait
}

func TestRestartGoesOnWhereTheLastOneStopped(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	load(t, l, "first", 5, 20)
	first := newRecorder(100)
	_, stop := run(t, c, ordered, first, dispatch.Options{})
	first.until(t)
	stop()
	want := load(t, l, "second", 5, 20)
	second := newRecorder(100)
	_, stop = run(t, c, ordered, second, dispatch.Options{})
	second.until(t)
	stop()
	if !maps.EqualFunc(second.seen, want, slices.Equal) {
		t.Errorf("the second got something else than the second load")
	}
}

func TestStopLetsTheCallInFlightFinish(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	load(t, l, "m", 1, 10)
	began, finish := make(chan struct{}), make(chan struct{})
	var cancelled atomic.Bool
	_, stop := run(t, c, ordered, handlerFunc(func(ctx context.Context, events []chat.Event) error {
		close(began)
		<-finish
		cancelled.Store(ctx.Err() != nil)
		return nil
	}), dispatch.Options{})
	<-began
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	select {
	case <-stopped:
		t.Fatal("stopped while a call was in flight")
	case <-time.After(50 * time.Millisecond):
	}
	close(finish)
	<-stopped
	if cancelled.Load() {
		t.Error("the call was cancelled")
	}
	if n := lag(t, c, ordered.Group, "room-0"); n != 0 {
		t.Errorf("%d not committed", n)
	}
}

func TestStopDoesNotWaitForRetries(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	if err := l.Append(t.Context(), message(t, "room", "poison")); err != nil {
		t.Fatal(err)
	}
	tried := make(chan struct{}, 1)
	_, stop := run(t, c, ordered, handlerFunc(func(context.Context, []chat.Event) error {
		select {
		case tried <- struct{}{}:
		default:
		}
		return chat.Errorf(chat.Unavailable, "never")
	}), dispatch.Options{StopTimeout: time.Hour})
	<-tried
	stop()
	r := newRecorder(1)
	run(t, c, ordered, r, dispatch.Options{})
	r.until(t)
}

// As with Redpanda, which speaks some requests in older versions than Kafka 4.
func TestBrokersOfOlderVersions(t *testing.T) {
	_, c := kafkatest.Cluster(t, kfake.MaxVersions(kversion.V2_4_0()))
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want := load(t, kafkatest.Log(t, c), "m", 5, 100)
	r := newRecorder(500)
	_, stop := run(t, c, ordered, r, dispatch.Options{})
	r.until(t)
	stop()
	if !maps.EqualFunc(r.seen, want, slices.Equal) {
		t.Error("not in the log's order")
	}
	if n := lag(t, c, ordered.Group, "room-0"); n != 0 {
		t.Errorf("%d not committed", n)
	}
}

// A stop doesn't wait for brokers that are away.
func TestStopWithoutBrokersTakesLittle(t *testing.T) {
	cluster, c := kafkatest.Cluster(t)
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	load(t, kafkatest.Log(t, c), "m", 1, 10)
	began, finish := make(chan struct{}), make(chan struct{})
	_, stop := run(t, c, ordered, handlerFunc(func(context.Context, []chat.Event) error {
		close(began)
		<-finish
		return nil
	}), dispatch.Options{})
	<-began
	cluster.Close()
	close(finish)
	start := time.Now()
	stop()
	if took := time.Since(start); took > 2*c.Timeout {
		t.Errorf("took %v", took)
	}
}

// A room's function call that hangs must neither hold up the other partitions nor
// let memory grow with what waits.
func TestSlowPartitionIsHeldBackAlone(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	release := make(chan struct{})
	slow, quick := newRecorder(2500), newRecorder(50)
	d, stop := run(t, c, ordered, handlerFunc(func(ctx context.Context, events []chat.Event) error {
		if events[0].Stream != "slow" {
			return quick.HandleEvents(ctx, events)
		}
		<-release
		return slow.HandleEvents(ctx, events)
	}), dispatch.Options{})

	text, noise := make([]byte, 3_000), rand.NewChaCha8([32]byte{})
	var events []*chat.Event
	for i := range 2500 { // 10 MB
		noise.Read(text) // what doesn't compress, so that a fetch is as large in memory
		e := message(t, "slow", fmt.Sprint("slow-", i))
		e.Data = fmt.Appendf(nil, `{"text":"%s"}`, base64.StdEncoding.EncodeToString(text))
		events = append(events, e)
	}
	if err := l.Append(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	for _, room := range roomsBeside(c, "slow", 5) {
		for i := range 10 {
			if err := l.Append(t.Context(), message(t, room, fmt.Sprint(room, i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	quick.until(t)
	if waiting := dispatch.Queued(d); waiting > 4<<20 {
		t.Errorf("%d bytes wait in memory", waiting)
	}
	close(release)
	slow.until(t)
	stop()
	if n := lag(t, c, ordered.Group, "slow"); n != 0 {
		t.Errorf("%d not committed", n)
	}
}

// roomsBeside are n rooms of other partitions than the given room's.
func roomsBeside(c kafka.Config, room chat.RoomID, n int) []chat.RoomID {
	var rooms []chat.RoomID
	for i := 0; len(rooms) < n; i++ {
		if other := chat.RoomID(fmt.Sprint("room-", i)); partitionOf(c, other) != partitionOf(c, room) {
			rooms = append(rooms, other)
		}
	}
	return rooms
}

func TestBackoffDoublesWithinItsBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		start := time.Now()
		err := dispatch.HandleAlone(t.Context(), handlerFunc(func(context.Context, []chat.Event) error {
			at = append(at, time.Since(start))
			if len(at) == 12 {
				return nil
			}
			return chat.Errorf(chat.TooMany, "busy")
		}), *message(t, "room", "x"))
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(at); i++ {
			full := min(100*time.Millisecond<<(i-1), 30*time.Second)
			if pause := at[i] - at[i-1]; pause < full/2 || pause > full {
				t.Errorf("pause %d is %v, want %v to %v", i, pause, full/2, full)
			}
		}
	})
}
