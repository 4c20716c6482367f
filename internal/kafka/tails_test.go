package kafka_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/wait/waittest"
)

func ensure(t *testing.T, c kafka.Config) {
	t.Helper()
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestTailsAreThoseOfTheStreams(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	rnd := rand.New(rand.NewPCG(1, 2))
	streams := []chat.StreamID{"room", "other-room", "third", "fourth", "fifth", "sixth", chat.StreamOf("alice")}
	for round := range 10 {
		var last *chat.Event
		for i := range 20 {
			e := message(t, "room", fmt.Sprint(round, " ", i))
			e.Stream = streams[rnd.IntN(len(streams))]
			if err := l.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			if rnd.IntN(5) == 0 {
				last = e
			}
		}
		if round == 5 {
			garbage := &kgo.Record{Topic: chat.TopicRooms, Key: []byte("room"), Value: []byte("{garbage")}
			if err := client(t, c).ProduceSync(t.Context(), garbage).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if last != nil && round > 0 {
			commit(t, c, chat.RoomID(last.Stream), last.Sequence)
		}
		tails, err := l.Tails(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if last != nil && round > 0 {
			if begin := tails.Begin(last.Stream); begin != last.Sequence+1 {
				t.Errorf("round %d: the tail of %s begins at %s, %s is committed", round, last.Stream, begin, last.Sequence)
			}
		}
		for _, stream := range append(streams, "unknown") {
			want, err := l.Tail(t.Context(), stream)
			if err != nil {
				t.Fatal(err)
			}
			if begin := tails.Begin(stream); len(want) > 0 && want[0].Sequence < begin {
				t.Errorf("round %d: the tail of %s begins at %s, and has %s", round, stream, begin, want[0].Sequence)
			}
			for range 2 { // decoded once, given twice
				if got := tails.Of(stream); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("round %d, %s:\n got %q\nwant %q", round, stream, ids(got), ids(want))
				}
			}
		}
	}
}

// As of one tail: what was acknowledged before the call is in it or below the commit.
func TestTailsHoldWhatWasAcknowledgedBeforeTheCall(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			room := chat.RoomID(fmt.Sprint("room-", w))
			for i := range 40 {
				e := message(t, room, fmt.Sprintf("%d-%d", w, i))
				if err := l.Append(t.Context(), e); err != nil {
					t.Error(err)
					return
				}
				if i%10 == 9 && w == 0 {
					commit(t, c, room, e.Sequence)
				}
				tails, err := l.Tails(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				tail := tails.Of(room.Stream())
				found := len(tail) == 0 || tail[0].Sequence > e.Sequence // committed by now
				for _, got := range tail {
					found = found || got.Sequence == e.Sequence
				}
				if !found {
					t.Errorf("%s with sequence %v is missing in %q", e.ID, e.Sequence, ids(tail))
					return
				}
			}
		})
	}
	wg.Wait()
}

// However many streams and partitions there are, at rest there is one look, and of
// what is behind one read for each partition; calls at the same time share both.
func TestTailsCostOneLook(t *testing.T) {
	cluster, c := kafkatest.Cluster(t, kfake.NumBrokers(1))
	ensure(t, c)
	l := kafkatest.Log(t, c)
	kafka.LeaveLag(l) // its looks would count, too
	var events []*chat.Event
	for i := range 200 {
		e := message(t, chat.RoomID(fmt.Sprint("room-", i)), fmt.Sprint(i))
		events = append(events, e)
	}
	if err := l.Append(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	var looks, reads atomic.Int32
	hold := make(chan struct{})
	var held atomic.Bool
	control := func(key kmsg.Key, f func()) {
		cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			f()
			return nil, nil, false
		})
	}
	control(kmsg.OffsetFetch, func() { looks.Add(1) })
	control(kmsg.ListOffsets, func() { looks.Add(1) })
	control(kmsg.Fetch, func() {
		reads.Add(1)
		if held.CompareAndSwap(true, false) {
			<-hold
		}
	})
	look := func() {
		t.Helper()
		tails, err := l.Tails(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		for _, e := range events {
			_ = tails.Of(e.Stream)
		}
	}
	want := func(what string, wantLooks, wantReads int32) {
		t.Helper()
		if l, r := looks.Swap(0), reads.Swap(0); l != wantLooks || r != wantReads {
			t.Errorf("%s: %d looks and %d reads, want %d and %d", what, l, r, wantLooks, wantReads)
		}
	}
	admin := kadm.NewClient(client(t, c))
	ends, err := admin.ListEndOffsets(t.Context(), chat.TopicRooms)
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.CommitAllOffsets(t.Context(), "knatter-persist", ends.Offsets()); err != nil {
		t.Fatal(err)
	}
	looks.Store(0)
	look()
	want("at rest", 2, 0)
	if err := l.Append(t.Context(), events[:2]...); err != nil {
		t.Fatal(err)
	}
	look()
	if l, r := looks.Swap(0), reads.Swap(0); l != 2 || r < 1 || r > 2 {
		t.Errorf("two events behind: %d looks and %d reads", l, r)
	}
	// What was read is not read again.
	look()
	want("again", 2, 0)
	if err := l.Append(t.Context(), events[2]); err != nil {
		t.Fatal(err)
	}
	held.Store(true)
	var all sync.WaitGroup
	all.Go(look)
	waittest.Until(t, "a look reads", func() bool { return reads.Load() > 0 })
	looks.Store(0)
	for range 20 {
		all.Go(look)
	}
	time.Sleep(50 * time.Millisecond) // until all of them wait, which nothing shows
	close(hold)
	all.Wait()
	if l := looks.Load(); l != 2 {
		t.Errorf("20 calls at once: %d looks, want 2", l)
	}
}

// Tails that are too much to read are refused, and before they are read.
func TestTailsAreBounded(t *testing.T) {
	for name, behind := range map[string]struct{ events, size int }{"many": {50_001, 2}, "large": {40, 500_000}} {
		t.Run(name, func(t *testing.T) {
			c := kafkatest.Start(t)
			l := kafkatest.Log(t, c)
			records := make([]*kgo.Record, behind.events)
			for i := range records {
				records[i] = &kgo.Record{Topic: chat.TopicRooms, Key: fmt.Append(nil, "room-", i), Value: make([]byte, behind.size)}
			}
			if err := client(t, c).ProduceSync(t.Context(), records...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Tails(t.Context()); chat.KindOf(err) != chat.Unavailable {
				t.Errorf("got %v", err)
			}
			if _, err := l.Tail(t.Context(), "room-1"); err != nil {
				t.Errorf("one alone: %v", err)
			}
		})
	}
}

// Who has something to show without the log does not wait for it for long.
func TestTailsOfALogThatIsAway(t *testing.T) {
	cluster, c := kafkatest.Cluster(t)
	ensure(t, c)
	l := kafkatest.Log(t, c)
	cluster.Close()
	begun := time.Now()
	if _, err := l.Tails(t.Context()); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
}
