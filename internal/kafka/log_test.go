package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
)

func message(t testing.TB, room chat.RoomID, text string) *chat.Event {
	t.Helper()
	e, err := chat.NewEvent(text, "alice", chat.MessagePosted, room, chat.Posted{Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return &e
}

func ids(events []chat.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, e.ID)
	}
	return strings.Join(all, " ")
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

func TestAppendedEventsComeBackInOrderWithTheirSequences(t *testing.T) {
	c := kafkatest.Start(t)
	c.Generation = 3
	l := kafkatest.Log(t, c)

	var sent []*chat.Event
	for i := range 3000 { // more than one chunk
		sent = append(sent, message(t, "room", fmt.Sprint(i)))
	}
	sent[0].TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if err := l.Append(t.Context(), sent...); err != nil {
		t.Fatal(err)
	}
	got, err := l.Tail(t.Context(), "room")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(sent) {
		t.Fatalf("got %d events, want %d", len(got), len(sent))
	}
	for i, e := range got {
		if string(e.AppendFrame(nil)) != string(sent[i].AppendFrame(nil)) {
			t.Fatalf("event %d: got %s, want %s", i, e.AppendFrame(nil), sent[i].AppendFrame(nil))
		}
		if e.Sequence.Generation() != 3 || i > 0 && e.Sequence <= got[i-1].Sequence {
			t.Fatalf("sequence %v after %v", e.Sequence, got[i-1].Sequence)
		}
	}
}

func TestNoRoomsEventHasOffsetZero(t *testing.T) {
	c := kafkatest.Start(t)
	if err := kafka.EnsureTopics(t.Context(), c); err != nil { // a second time changes nothing
		t.Fatal(err)
	}
	ends, err := kadm.NewClient(client(t, c)).ListEndOffsets(t.Context(), chat.TopicRooms)
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset != 1 {
			t.Errorf("partition %d begins with %d events, want 1", o.Partition, o.Offset)
		}
	})
	l := kafkatest.Log(t, c)
	for i := range 20 {
		e := message(t, chat.RoomID(fmt.Sprint("room", i)), "hi")
		if err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if e.Sequence == 0 {
			t.Errorf("%s has sequence 0", e.Room)
		}
	}
}

// theirs is an event as another program appends it.
func theirs(e *chat.Event) *kgo.Record {
	r := &kgo.Record{Topic: chat.TopicRooms, Key: []byte(e.Room), Value: e.Data}
	for _, h := range e.Headers() {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return r
}

// appendInTransaction appends an event and commits or aborts.
func appendInTransaction(t *testing.T, c kafka.Config, e *chat.Event, commit bool) error {
	t.Helper()
	cl := client(t, c, kgo.TransactionalID(e.ID))
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	if err := cl.ProduceSync(t.Context(), theirs(e)).FirstErr(); err != nil {
		return err
	}
	return cl.EndTransaction(t.Context(), kgo.TransactionEndTry(commit))
}

// What other Kafka clients compute for the same keys, so that their events and
// ours of one room share a partition.
func TestKeysArePlacedAsByOtherClients(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	other := client(t, c)
	for i := range 50 {
		room := chat.RoomID(fmt.Sprint("room-", i))
		if err := l.Append(t.Context(), message(t, room, "ours")); err != nil {
			t.Fatal(err)
		}
		if err := other.ProduceSync(t.Context(), theirs(message(t, room, "theirs"))).FirstErr(); err != nil {
			t.Fatal(err)
		}
		got, err := l.Tail(t.Context(), room.Stream())
		if err != nil {
			t.Fatal(err)
		}
		if ids(got) != "ours theirs" {
			t.Fatalf("%s: got %q", room, ids(got))
		}
	}
}

func TestAppendAsyncKeepsTheOrderOfCalls(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	const n = 5000
	events := make([]*chat.Event, n)
	errs := make(chan error, n)
	for i := range events {
		events[i] = message(t, "room", fmt.Sprint(i))
		l.AppendAsync(t.Context(), events[i], func(err error) { errs <- err })
	}
	for range events {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i < n; i++ {
		if events[i].Sequence <= events[i-1].Sequence {
			t.Fatalf("event %d has sequence %v, the one before %v", i, events[i].Sequence, events[i-1].Sequence)
		}
	}
}

func TestAppendFailsInTimeWithoutABroker(t *testing.T) {
	cluster, c := kafkatest.Cluster(t)
	c.Timeout = time.Second
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	l := kafkatest.Log(t, c)
	if err := l.Append(t.Context(), message(t, "room", "first")); err != nil {
		t.Fatal(err)
	}
	cluster.Close()

	start := time.Now()
	if err := l.Append(t.Context(), message(t, "room", "second")); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("append: %v, want Unavailable", err)
	}
	if _, err := l.Tail(t.Context(), "room"); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("tail: %v, want Unavailable", err)
	}
	if err := l.Ready(t.Context()); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("ping: %v, want Unavailable", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestRefusedAppends(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)

	nowhere := message(t, "room", "x")
	nowhere.Stream = ""
	if err := l.Append(t.Context(), nowhere); chat.KindOf(err) != chat.Invalid {
		t.Errorf("no stream: %v, want Invalid", err)
	}
	done := make(chan error)
	l.AppendAsync(t.Context(), nowhere, func(err error) { done <- err })
	if err := <-done; chat.KindOf(err) != chat.Invalid {
		t.Errorf("no stream: %v, want Invalid", err)
	}
	if err := l.Append(t.Context(), message(t, "room", strings.Repeat("x", 2<<20))); chat.KindOf(err) != chat.TooLarge {
		t.Errorf("2 MiB: %v, want TooLarge", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Append(ctx, message(t, "room", "x")); chat.KindOf(err) != chat.Unavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, want Unavailable because cancelled", err)
	}
	l.Close()
	if err := l.Append(t.Context(), message(t, "room", "x")); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("closed: %v, want Unavailable", err)
	}
}

func TestNewLogNeedsTheTopic(t *testing.T) {
	_, c := kafkatest.Cluster(t)
	c.Timeout = time.Second
	if _, err := kafka.NewLog(t.Context(), c); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
	if _, err := kafka.NewLog(t.Context(), kafka.Config{}); chat.KindOf(err) != chat.Invalid {
		t.Errorf("no brokers: got %v, want Invalid", err)
	}
}

func commit(t testing.TB, c kafka.Config, room chat.RoomID, after chat.Sequence) {
	t.Helper()
	admin := kadm.NewClient(client(t, c))
	partition := int32(kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte(room)}, int(c.Partitions)))
	offsets := make(kadm.Offsets)
	offsets.AddOffset(chat.TopicRooms, partition, after.Offset()+1, -1)
	if err := admin.CommitAllOffsets(t.Context(), chat.Persist.Group, offsets); err != nil {
		t.Fatal(err)
	}
}

func TestTailBeginsAtTheCommit(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	var events []*chat.Event
	for i := range 10 {
		e, other := message(t, "room", fmt.Sprint(i)), message(t, "other-room", "x")
		if err := l.Append(t.Context(), e, other); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	for _, tt := range []struct {
		name string
		last int // committed event; -1 for none
		want string
	}{
		{"never committed", -1, "0 1 2 3 4 5 6 7 8 9"},
		{"some", 6, "7 8 9"},
		{"all", 9, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.last >= 0 {
				commit(t, c, "room", events[tt.last].Sequence)
			}
			got, err := l.Tail(t.Context(), "room")
			if err != nil {
				t.Fatal(err)
			}
			if ids(got) != tt.want {
				t.Errorf("got %q, want %q", ids(got), tt.want)
			}
		})
	}
}

func TestTailOfATrimmedLogBeginsAtItsStart(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	var events []*chat.Event
	for i := range 10 {
		e := message(t, "room", fmt.Sprint(i))
		if err := l.Append(t.Context(), e); err != nil { // one batch each
			t.Fatal(err)
		}
		events = append(events, e)
	}
	commit(t, c, "room", events[1].Sequence)
	trim := make(kadm.Offsets)
	partition := int32(kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte("room")}, int(c.Partitions)))
	trim.AddOffset(chat.TopicRooms, partition, events[5].Sequence.Offset(), -1)
	if _, err := kadm.NewClient(client(t, c)).DeleteRecords(t.Context(), trim); err != nil {
		t.Fatal(err)
	}
	got, err := l.Tail(t.Context(), "room")
	if err != nil {
		t.Fatal(err)
	}
	if want := "5 6 7 8 9"; ids(got) != want {
		t.Errorf("got %q, want %q", ids(got), want)
	}
}

// An event that was acknowledged before the call is in the tail or below the
// commit, whatever else is being appended and committed.
func TestTailHoldsWhatWasAcknowledgedBeforeTheCall(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 40 {
				e := message(t, "room", fmt.Sprintf("%d-%d", w, i))
				if err := l.Append(t.Context(), e); err != nil {
					t.Error(err)
					return
				}
				if i%10 == 9 && w == 0 {
					commit(t, c, "room", e.Sequence)
				}
				tail, err := l.Tail(t.Context(), "room")
				if err != nil {
					t.Error(err)
					return
				}
				found := len(tail) == 0 || tail[0].Sequence > e.Sequence // committed by now
				for _, got := range tail {
					found = found || got.Sequence == e.Sequence
				}
				if !found {
					t.Errorf("%s with sequence %v is missing between %v and %v", e.ID, e.Sequence, tail[0].Sequence, tail[len(tail)-1].Sequence)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestTailSkipsWhatIsNoEvent(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	garbage := &kgo.Record{Topic: chat.TopicRooms, Key: []byte("room"), Value: []byte("{garbage")}
	if err := client(t, c).ProduceSync(t.Context(), garbage).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), message(t, "room", "hi")); err != nil {
		t.Fatal(err)
	}
	got, err := l.Tail(t.Context(), "room")
	if err != nil {
		t.Fatal(err)
	}
	if ids(got) != "hi" {
		t.Errorf("got %q", ids(got))
	}
}

// Redpanda speaks some requests in older versions than Kafka 4 does: among what all
// of its releases have in common is what Kafka 2.4 had.
func TestBrokersOfOlderVersions(t *testing.T) {
	for name, versions := range map[string]*kversion.Versions{"2.4": kversion.V2_4_0(), "3.1": kversion.V3_1_0()} {
		t.Run(name, func(t *testing.T) {
			_, c := kafkatest.Cluster(t, kfake.MaxVersions(versions))
			c.Replication = 1
			for range 2 {
				if err := kafka.EnsureTopics(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			c.RetentionBytes = 32 << 20
			if err := kafka.EnsureTopics(t.Context(), c); err != nil { // alters
				t.Fatal(err)
			}
			l := kafkatest.Log(t, c)
			first, second := message(t, "room", "first"), message(t, "room", "second")
			if err := l.Append(t.Context(), first, second); err != nil {
				t.Fatal(err)
			}
			if got, err := l.Tail(t.Context(), "room"); err != nil || ids(got) != "first second" {
				t.Errorf("got %q, %v", ids(got), err)
			}
			commit(t, c, "room", first.Sequence)
			if got, err := l.Tail(t.Context(), "room"); err != nil || ids(got) != "second" {
				t.Errorf("after a commit: got %q, %v", ids(got), err)
			}
			got, _ := follow(t.Context(), t, c, 1)
			if err := l.Deliver(t.Context(), []chat.Delivery{deliveryTo(1, 1)}); err != nil {
				t.Fatal(err)
			}
			if d := <-got; d.Sequence != 1 {
				t.Errorf("got %+v", d)
			}
		})
	}
}
