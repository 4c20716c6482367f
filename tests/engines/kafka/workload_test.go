package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/wait"
	"knatter.dev/chat/internal/wait/waittest"
)

// workload is what goes on while brokers fail: writers that send again under the
// same id until they have an ack, one that doesn't wait for acks, a reader of
// tails, a dispatcher with an ordered function, and deliveries with a follower.
type workload struct {
	t    *testing.T
	cfg  kafka.Config
	log  *kafka.Log
	stop chan struct{}
	wg   sync.WaitGroup // of the writers and the reader

	mu       sync.Mutex
	sent     map[chat.RoomID][]string        // ids in the order of the calls
	acked    map[chat.RoomID][]*chat.Event   // in the order of the acks
	failed   map[string]int                  // tries by id
	handled  map[chat.RoomID][]chat.Sequence // in the order of the calls
	followed []chat.Sequence                 // deliveries as they came
	passed   chat.Sequence                   // the last delivery that was acknowledged
	lost     int                             // times that the follower started over
	tails    atomic.Int32                    // read
	end      func()                          // ends dispatcher and follower
}

const writers = 6

func startWorkload(t *testing.T, cfg kafka.Config) *workload {
	log, err := kafka.NewLog(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	w := &workload{
		t: t, cfg: cfg, log: log, stop: make(chan struct{}),
		sent: make(map[chat.RoomID][]string), acked: make(map[chat.RoomID][]*chat.Event),
		failed: make(map[string]int), handled: make(map[chat.RoomID][]chat.Sequence),
	}
	ctx, cancel := context.WithCancel(context.Background())
	var background sync.WaitGroup
	d := dispatch.New(cfg, chat.EventFunction{Name: "fanout", Topic: chat.TopicRooms, Group: "test-faults", Ordered: true, Types: []chat.Type{chat.MessagePosted}}, w, dispatch.Options{})
	background.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	ready := make(chan struct{})
	background.Go(func() { w.follow(ctx, ready) })
	w.end = sync.OnceFunc(func() {
		cancel()
		background.Wait()
	})
	t.Cleanup(w.end)
	select {
	case <-ready:
	case <-time.After(time.Minute):
		t.Fatal("the follower of the deliveries does not get ready")
	}
	for i := range writers {
		w.wg.Go(func() { w.write(chat.RoomID(fmt.Sprint("room-", i))) })
	}
	w.wg.Go(func() { w.writeAhead("ahead") })
	w.wg.Go(w.read)
	w.wg.Go(w.deliver)
	return w
}

func (w *workload) going() bool {
	select {
	case <-w.stop:
		return false
	default:
		return true
	}
}

func (w *workload) event(room chat.RoomID, n int) *chat.Event {
	e, err := chat.NewEvent(fmt.Sprintf("%s/%d", room, n), "alice", chat.MessagePosted, room, chat.Posted{Text: strings.Repeat("hello ", 20)})
	if err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent[room] = append(w.sent[room], e.ID)
	return &e
}

// write sends one event after the other, each until it is acknowledged.
func (w *workload) write(room chat.RoomID) {
	for n := 0; w.going(); n++ {
		e := w.event(room, n)
		for {
			err := w.log.Append(w.t.Context(), e)
			w.result(e, err)
			if err == nil {
				break
			}
			wait.For(20*time.Millisecond, w.t.Context().Done())
		}
		wait.For(2*time.Millisecond, w.stop)
	}
}

// writeAhead sends without waiting for acks, each event once.
func (w *workload) writeAhead(room chat.RoomID) {
	window := make(chan struct{}, 50)
	for n := 0; w.going(); n++ {
		window <- struct{}{}
		e := w.event(room, n)
		w.log.AppendAsync(w.t.Context(), e, func(err error) {
			w.result(e, err)
			<-window
		})
		wait.For(time.Millisecond, w.stop)
	}
	for range cap(window) {
		window <- struct{}{}
	}
}

func (w *workload) result(e *chat.Event, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.acked[e.Room] = append(w.acked[e.Room], e)
		return
	}
	w.failed[e.ID]++
	if chat.KindOf(err) != chat.Unavailable {
		w.t.Errorf("append failed with %v, want Unavailable", err)
	}
}

func (w *workload) acks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, acked := range w.acked {
		n += len(acked)
	}
	return n
}

// read checks that what is acknowledged before a tail is asked for is in it:
// persist doesn't run here.
func (w *workload) read() {
	for n := 0; w.going(); n++ {
		room := chat.RoomID(fmt.Sprint("room-", n%writers))
		w.mu.Lock()
		acked := slices.Clone(w.acked[room])
		w.mu.Unlock()
		tail, end, err := w.log.TailEnd(w.t.Context(), room.Stream())
		if err != nil {
			if chat.KindOf(err) != chat.Unavailable {
				w.t.Errorf("tail failed with %v, want Unavailable", err)
			}
			continue
		}
		w.tails.Add(1)
		held := make(map[chat.Sequence]string)
		for _, e := range tail {
			held[e.Sequence] = e.ID
		}
		for _, e := range acked {
			if held[e.Sequence] != e.ID || e.Sequence >= end {
				w.t.Errorf("%s, acknowledged with %v, is not in the tail up to %v (%d events)", e.ID, e.Sequence, end, len(tail))
				break
			}
		}
		wait.For(100*time.Millisecond, w.stop)
	}
}

// HandleEvents implements [chat.Handler] for the dispatcher.
func (w *workload) HandleEvents(_ context.Context, events []chat.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		w.handled[e.Room] = append(w.handled[e.Room], e.Sequence)
	}
	return nil
}

// deliver passes numbered frames to connector 0, each until it is acknowledged.
func (w *workload) deliver() {
	for n := chat.Sequence(1); w.going(); n++ {
		d := chat.Delivery{Stream: "room-0", Sequence: n, Type: chat.MessagePosted, Frame: []byte("{}")}
		for w.log.Deliver(w.t.Context(), []chat.Delivery{d}) != nil {
			wait.For(20*time.Millisecond, w.t.Context().Done())
		}
		w.mu.Lock()
		w.passed = n
		w.mu.Unlock()
		wait.For(5*time.Millisecond, w.stop)
	}
}

func (w *workload) follow(ctx context.Context, ready chan<- struct{}) {
	once := sync.OnceFunc(func() { close(ready) })
	for ctx.Err() == nil {
		err := kafka.FollowDeliveries(ctx, w.cfg, 0, once, func(batch []chat.Delivery) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, d := range batch {
				w.followed = append(w.followed, d.Sequence)
			}
		})
		if ctx.Err() == nil {
			w.t.Log("the follower starts over: ", err)
			w.mu.Lock()
			w.lost++
			w.mu.Unlock()
			wait.For(100*time.Millisecond, ctx.Done())
		}
	}
}

// more waits until so many more events are acknowledged.
func (w *workload) more(n int) {
	w.t.Helper()
	want := w.acks() + n
	if !waittest.Holds(time.Minute, func() bool { return w.acks() >= want }) {
		w.t.Fatalf("%d events acknowledged, want %d", w.acks(), want)
	}
}

// finish ends the writing and checks that no acknowledged event is lost, none is in
// the log more often than it was sent, that the order holds, and that all of it was
// handled and delivered.
func (w *workload) finish() {
	w.t.Helper()
	close(w.stop)
	w.wg.Wait()
	logged := w.logged()
	w.settle(logged)
	w.end()

	first := make(map[string]chat.Sequence)
	times := make(map[string]int)
	at := make(map[place]string)
	for _, e := range logged {
		if times[e.ID]++; times[e.ID] == 1 {
			first[e.ID] = e.Sequence
		}
		at[place{e.Room, e.Sequence}] = e.ID
	}
	doubled := 0
	for id, n := range times {
		if n > 1+w.failed[id] {
			w.t.Errorf("%s is in the log %d times and was sent %d times", id, n, 1+w.failed[id])
		}
		doubled += n - 1
	}
	total, failures := 0, 0
	for room, acked := range w.acked {
		total += len(acked)
		for _, e := range acked {
			if at[place{room, e.Sequence}] != e.ID {
				w.t.Fatalf("%s was acknowledged with %v and is not there", e.ID, e.Sequence)
			}
		}
		var before string
		for _, id := range w.sent[room] {
			failures += w.failed[id]
			if first[id] == 0 {
				continue // never acknowledged
			}
			if before != "" && first[id] <= first[before] {
				w.t.Errorf("%s has %v, and %s, sent before it, has %v", id, first[id], before, first[before])
			}
			before = id
		}
	}
	w.checkHandled(logged)
	w.checkFollowed()
	w.t.Logf("%d events acknowledged, %d tries failed, %d records of resent events, %d tails read, %d deliveries, follower started over %d times",
		total, failures, doubled, w.tails.Load(), w.passed, w.lost)
}

type place struct {
	room     chat.RoomID
	sequence chat.Sequence
}

// logged is all of the log.
func (w *workload) logged() []chat.Event {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(w.cfg.Options(kgo.ConsumeTopics(chat.TopicRooms), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, chat.TopicRooms)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	left := make(map[int32]int64)
	ends.Each(func(o kadm.ListedOffset) { left[o.Partition] = o.Offset })
	var logged []chat.Event
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			w.t.Fatal("the log cannot be read to its end: ", left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			e, err := w.cfg.Event(r)
			if err != nil {
				w.t.Errorf("offset %d of partition %d: %v", r.Offset, r.Partition, err)
			} else if e.Type == chat.MessagePosted {
				logged = append(logged, e)
			}
		})
	}
	return logged
}

// settle waits until all is handled and followed.
func (w *workload) settle(logged []chat.Event) {
	w.t.Helper()
	want := make(map[chat.RoomID]chat.Sequence)
	for _, e := range logged {
		want[e.Room] = max(want[e.Room], e.Sequence)
	}
	settled := func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for room, last := range want {
			if n := len(w.handled[room]); n == 0 || w.handled[room][n-1] < last {
				return false
			}
		}
		n := len(w.followed)
		return w.lost > 0 || n > 0 && w.followed[n-1] >= w.passed
	}
	waittest.Within(w.t, time.Minute, "everything is handled and followed", settled)
}

// checkHandled checks that each event was handled, for the first time in order.
func (w *workload) checkHandled(logged []chat.Event) {
	w.t.Helper()
	done := make(map[place]bool)
	for room, sequences := range w.handled {
		var highest chat.Sequence
		for _, s := range sequences {
			if !done[place{room, s}] && s < highest {
				w.t.Errorf("%s: %v was handled first after %v", room, s, highest)
			}
			highest = max(highest, s)
			done[place{room, s}] = true
		}
	}
	for _, e := range logged {
		if !done[place{e.Room, e.Sequence}] {
			w.t.Errorf("%s with %v was never handled", e.ID, e.Sequence)
		}
	}
}

// checkFollowed checks that each delivery came, for the first time in order, unless
// the follower was told that there is a gap.
func (w *workload) checkFollowed() {
	w.t.Helper()
	var highest chat.Sequence
	for _, n := range w.followed {
		if n > highest+1 && w.lost == 0 {
			w.t.Errorf("delivery %d came after %d", n, highest)
		}
		highest = max(highest, n)
	}
}
