package kafka_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/wait/waittest"
)

func stores(t *testing.T) *open.Stores {
	t.Helper()
	s, err := open.Store(t.Context(), "memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func recognized(t *testing.T, c kafka.Config, s *open.Stores) kafka.Config {
	t.Helper()
	c, err := kafka.Recognize(t.Context(), c, s.Progress, s.Events)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// posted appends n messages of a room and returns the last one's sequence.
func posted(t *testing.T, l *kafka.Log, room chat.RoomID, name string, n int) (last chat.Sequence) {
	t.Helper()
	for i := range n {
		e := message(t, room, fmt.Sprint(name, i))
		if err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		last = e.Sequence
	}
	return last
}

// remade deletes chat.rooms and makes it anew.
func remade(t *testing.T, c kafka.Config) {
	t.Helper()
	admin := kadm.NewClient(client(t, c))
	deleted, err := admin.DeleteTopics(t.Context(), chat.TopicRooms)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	if !waittest.Holds(waittest.Patience, func() bool {
		err = kafka.EnsureTopics(t.Context(), c)
		return err == nil
	}) {
		t.Fatal(err)
	}
}

// Of processes that start at once on a log that is another one than before, one
// decides, and all log in one and the same new generation.
func TestStartsAtOnceAgree(t *testing.T) {
	c, s := kafkatest.Start(t), stores(t)
	before := posted(t, kafkatest.Log(t, recognized(t, c, s)), "room", "before", 20)
	for generation := 1; generation <= 2; generation++ {
		remade(t, c)
		found := make([]kafka.Config, 8)
		var starts errgroup.Group
		for i := range found {
			starts.Go(func() (err error) {
				found[i], err = kafka.Recognize(t.Context(), c, s.Progress, s.Events)
				return err
			})
		}
		if err := starts.Wait(); err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if !f.Lineage.Equal(found[0].Lineage) || f.Lineage.Newest() != generation || len(f.Lineage.Generations) != 1 {
				t.Errorf("one found %v, another %v", found[0].Lineage, f.Lineage)
			}
			after := posted(t, kafkatest.Log(t, f), "room", "after", 1)
			if after <= before || after.Generation() != generation {
				t.Errorf("after %s came %s", before, after)
			}
			before = after
		}
	}
	if again := recognized(t, c, s).Lineage; again.Newest() != 2 {
		t.Errorf("another generation without a loss: %v", again)
	}
}

// A process that runs on while its log is made anew logs nothing there that would
// have a sequence of before, and learns that it has to start anew.
func TestLogMadeAnewBehindAProcess(t *testing.T) {
	c, s := kafkatest.Start(t), stores(t)
	c.Timeout = 2 * time.Second
	c = recognized(t, c, s)
	old := kafkatest.Log(t, c)
	posted(t, old, "room", "before", 20)
	watched := make(chan error, 1)
	go func() { watched <- old.Watch(t.Context(), s.Progress) }()
	time.Sleep(1500 * time.Millisecond) // it looks once a second, and so has found that all is well
	remade(t, c)
	for i := range 3 {
		e := message(t, "room", fmt.Sprint("meanwhile", i))
		if err := old.Append(t.Context(), e); err == nil {
			t.Errorf("the other log took an event, as %s", e.Sequence)
		}
	}
	if err := <-watched; chat.KindOf(err) != chat.Conflict {
		t.Errorf("watching ended with %v", err)
	}
	if s := posted(t, kafkatest.Log(t, recognized(t, c, s)), "room", "after", 1); s != chat.SequenceAt(1, 1) {
		t.Errorf("started anew, it logs %s: what was refused is in the log", s)
	}
}

// Another process that begins a generation ends those that know of the one before.
func TestGenerationBegunByAnother(t *testing.T) {
	c, s := kafkatest.Start(t), stores(t)
	c = recognized(t, c, s)
	watched := make(chan error, 1)
	go func() { watched <- kafkatest.Log(t, c).Watch(t.Context(), s.Progress) }()
	higher := c
	higher.Generation = 4
	if n := recognized(t, higher, s).Lineage.Newest(); n != 4 {
		t.Errorf("configured 4, got %d", n)
	}
	if err := <-watched; chat.KindOf(err) != chat.Conflict {
		t.Errorf("watching ended with %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := kafkatest.Log(t, c).Watch(ctx, s.Progress); err != nil {
		t.Errorf("a watch that is stopped ended with %v", err)
	}
}

// The groups go back to where the stores are, as far as these lack something.
func TestGroupsGoBack(t *testing.T) {
	const messages = 30 // at offsets 1 to 30, and then one that nobody stores
	persist, index := chat.Persist, chat.Index
	for name, c := range map[string]struct {
		noted            []chat.Applied
		persist, indexed int64
	}{
		"nothing is stored":       {nil, 0, 0},
		"all is noted":            {[]chat.Applied{{Store: "events", Done: 32, Highest: 30}, {Store: "index", Done: 32, Highest: 30}}, 32, 32},
		"but what nobody stores":  {[]chat.Applied{{Store: "events", Done: 31, Highest: 30}, {Store: "index", Done: 31, Highest: 30}}, 32, 32},
		"the end is missing":      {[]chat.Applied{{Store: "events", Done: 12, Highest: 14}, {Store: "index", Done: 9, Highest: 9}}, 12, 9},
		"Knative's, all is there": {[]chat.Applied{{Store: "events", Highest: 30}, {Store: "index", Highest: 30}}, 32, 32},
		"Knative's, not all is":   {[]chat.Applied{{Store: "events", Highest: 29}, {Store: "index", Highest: 30}}, 0, 32},
	} {
		t.Run(name, func(t *testing.T) {
			c0, s := kafkatest.Start(t), stores(t)
			c0 = recognized(t, c0, s)
			l := kafkatest.Log(t, c0)
			posted(t, l, "room", "m", messages)
			route := message(t, "room", "route")
			route.Type, route.Data = chat.RouteOpened, []byte(`{"connector":0}`)
			if err := l.Append(t.Context(), route); err != nil {
				t.Fatal(err)
			}
			partition := kafka.PartitionOf("room", int(c0.Partitions))
			admin := kadm.NewClient(client(t, c0))
			commit := make(kadm.Offsets)
			commit.AddOffset(chat.TopicRooms, partition, messages+2, -1)
			for _, f := range []chat.EventFunction{persist, index} {
				if err := admin.CommitAllOffsets(t.Context(), f.Group, commit); err != nil {
					t.Fatal(err)
				}
			}
			for _, a := range c.noted {
				a.Partition = partition
				if err := s.Progress.Note(t.Context(), a); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := kafka.Reconcile(t.Context(), c0, s.Progress, s.Events, chat.EventFunctions...); err != nil {
				t.Fatal(err)
			}
			groupsAreAt(t, admin, partition, map[string]int64{persist.Group: c.persist, index.Group: c.indexed})
		})
	}
}

// groupsAreAt checks what groups have committed of a partition.
func groupsAreAt(t *testing.T, admin *kadm.Client, partition int32, want map[string]int64) {
	t.Helper()
	for group, want := range want {
		at, err := admin.FetchOffsets(t.Context(), group)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := at.Lookup(chat.TopicRooms, partition); got.At != want {
			t.Errorf("%s is at %d, want %d", group, got.At, want)
		}
	}
}

// What is with the dead letters is in no store, and nobody lacks it.
func TestGroupsDoNotGoBackForDeadLetters(t *testing.T) {
	c, s := kafkatest.Start(t), stores(t)
	c = recognized(t, c, s)
	posted(t, kafkatest.Log(t, c), "room", "m", 3)
	partition := kafka.PartitionOf("room", int(c.Partitions))
	cl := client(t, c)
	admin := kadm.NewClient(cl)
	commit := make(kadm.Offsets)
	commit.AddOffset(chat.TopicRooms, partition, 4, -1)
	for _, f := range []chat.EventFunction{chat.Persist, chat.Index} {
		if err := admin.CommitAllOffsets(t.Context(), f.Group, commit); err != nil {
			t.Fatal(err)
		}
		if err := s.Progress.Note(t.Context(), chat.Applied{Store: f.Store, Partition: partition, Done: 3, Highest: 2}); err != nil {
			t.Fatal(err)
		}
	}
	refused := message(t, "room", "m-2")
	r := &kgo.Record{Partition: partition, Offset: 3, Key: []byte(refused.Stream), Value: refused.Data}
	for _, h := range refused.Headers() {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	dead := c.DeadLetter(r, kafka.Failure{Function: chat.Index.Name, Code: 422})
	if err := cl.ProduceSync(t.Context(), dead).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if _, err := kafka.Reconcile(t.Context(), c, s.Progress, s.Events, chat.EventFunctions...); err != nil {
		t.Fatal(err)
	}
	groupsAreAt(t, admin, partition, map[string]int64{chat.Persist.Group: 3, chat.Index.Group: 4})
}

// A group that has members is not taken back; that a store's note is late, they show.
func TestGroupWithMembersGoesNotBack(t *testing.T) {
	c, s := kafkatest.Start(t), stores(t)
	c = recognized(t, c, s)
	posted(t, kafkatest.Log(t, c), "room", "m", 10)
	persist := chat.Persist
	member := client(t, c, kgo.ConsumerGroup(persist.Group), kgo.ConsumeTopics(chat.TopicRooms), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for n := 0; n < 10; {
		fetches := member.PollFetches(t.Context())
		n += fetches.NumRecords()
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		if err := member.CommitRecords(t.Context(), fetches.Records()...); err != nil {
			t.Fatal(err)
		}
	}
	reconcile := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		_, err := kafka.Reconcile(ctx, c, s.Progress, s.Events, persist)
		return err
	}
	if err := reconcile(time.Second); chat.KindOf(err) != chat.Conflict || err == nil {
		t.Errorf("got %v, want Conflict", err)
	}
	time.AfterFunc(500*time.Millisecond, func() {
		_ = s.Progress.Note(t.Context(), chat.Applied{Store: chat.StoreEvents, Partition: kafka.PartitionOf("room", int(c.Partitions)), Done: 11, Highest: 10})
	})
	if err := reconcile(10 * time.Second); err != nil {
		t.Errorf("the note came late: %v", err)
	}
}

// Stores of a version that noted nothing are taken to be where the groups are.
func TestStoreWithoutNotes(t *testing.T) {
	c, s := kafkatest.Start(t), stores(t)
	e := message(t, "room", "old")
	e.Sequence = 1
	if err := s.Events.Put(t.Context(), []chat.Event{*e}); err != nil {
		t.Fatal(err)
	}
	posted(t, kafkatest.Log(t, c), "room", "m", 10)
	partition := kafka.PartitionOf("room", int(c.Partitions))
	admin := kadm.NewClient(client(t, c))
	commit := make(kadm.Offsets)
	commit.AddOffset(chat.TopicRooms, partition, 8, -1)
	if err := admin.CommitAllOffsets(t.Context(), "knatter-persist", commit); err != nil {
		t.Fatal(err)
	}
	recognized(t, c, s) // a connector, say, is the first
	for range 2 {
		if _, err := kafka.Reconcile(t.Context(), c, s.Progress, s.Events, chat.EventFunctions...); err != nil {
			t.Fatal(err)
		}
		at, err := admin.FetchOffsets(t.Context(), "knatter-persist")
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := at.Lookup(chat.TopicRooms, partition); got.At != 8 {
			t.Errorf("persist is at %d, want 8", got.At)
		}
	}
}
