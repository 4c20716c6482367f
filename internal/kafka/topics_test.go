package kafka_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/wait/waittest"
)

// settings are those of a topic that want names.
func settings(t *testing.T, c kafka.Config, topic string, want map[string]string) map[string]string {
	t.Helper()
	described, err := kadm.NewClient(client(t, c)).DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, config := range described[0].Configs {
		if _, ok := want[config.Key]; ok {
			found[config.Key] = config.MaybeValue()
		}
	}
	return found
}

func set(t *testing.T, c kafka.Config, topic, key, value string) {
	t.Helper()
	answers, err := kadm.NewClient(client(t, c)).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: key, Value: &value}}, topic)
	if err == nil {
		err = answers[0].Err
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRetentionIsSet(t *testing.T) {
	c := kafkatest.Start(t)
	c.RetentionBytes = 32 << 20
	if err := kafka.EnsureTopics(t.Context(), c); err != nil { // changes topics that exist
		t.Fatal(err)
	}
	want := map[string]string{"retention.bytes": "33554432", "retention.ms": "-1", "segment.bytes": "8388608", "cleanup.policy": "delete"}
	var got map[string]string
	if !waittest.Holds(waittest.Patience, func() bool { got = settings(t, c, chat.TopicRooms, want); return maps.Equal(got, want) }) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What the promises rest on is set again; what nobody configured is left alone.
func TestTopicsThatSomebodyChanged(t *testing.T) {
	c := kafkatest.Start(t)
	set(t, c, chat.TopicRooms, "retention.ms", "1000000")
	set(t, c, chat.TopicRooms, "retention.bytes", "77777777")
	set(t, c, chat.TopicSignals, "retention.ms", "120000")
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]map[string]string{
		chat.TopicRooms:   {"retention.ms": "-1", "retention.bytes": "77777777"},
		chat.TopicSignals: {"retention.ms": "120000"},
	} {
		var got map[string]string
		if !waittest.Holds(waittest.Patience, func() bool { got = settings(t, c, topic, want); return maps.Equal(got, want) }) {
			t.Errorf("%s: got %v, want %v", topic, got, want)
		}
	}
}

func TestAnotherNumberOfPartitionsIsRefused(t *testing.T) {
	c := kafkatest.Start(t)
	for _, partitions := range []int32{2, 8} {
		c.Partitions = partitions
		if err := kafka.EnsureTopics(t.Context(), c); chat.KindOf(err) != chat.Invalid {
			t.Errorf("topics with %d partitions: %v, want Invalid", partitions, err)
		}
		if _, err := kafka.NewLog(t.Context(), c); chat.KindOf(err) != chat.Invalid {
			t.Errorf("log with %d partitions: %v, want Invalid", partitions, err)
		}
	}
	c.Partitions = 0 // what there are
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Error(err)
	}
	kafkatest.Log(t, c)
}

func TestTooFewReplicasAreRefused(t *testing.T) {
	c := kafkatest.Start(t)
	c.Replication = 7
	if err := kafka.EnsureTopics(t.Context(), c); chat.KindOf(err) != chat.Invalid {
		t.Errorf("got %v, want Invalid", err)
	}
}

// More connectors than partitions so far.
func TestDeliveriesGetMorePartitions(t *testing.T) {
	c := kafkatest.Start(t)
	c.DeliveryPartitions = 6
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	l := kafkatest.Log(t, c)
	got, _ := follow(t.Context(), t, c, 5)
	if err := l.Deliver(t.Context(), []chat.Delivery{deliveryTo(5, 1)}); err != nil {
		t.Fatal(err)
	}
	if d := <-got; d.Sequence != 1 {
		t.Errorf("got %+v", d)
	}
	c.DeliveryPartitions = 2 // fewer are no reason to fail
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// More partitions of chat.rooms would place rooms elsewhere, where their sequences
// are lower: who runs then says no until somebody has seen to it.
func TestPartitionsThatAreAddedStopTheAppends(t *testing.T) {
	c := kafkatest.Start(t)
	c.Timeout = 2 * time.Second
	l := kafkatest.Log(t, c)
	if err := l.Append(t.Context(), message(t, "room", "before")); err != nil {
		t.Fatal(err)
	}
	if _, err := kadm.NewClient(client(t, c)).CreatePartitions(t.Context(), 4, chat.TopicRooms); err != nil {
		t.Fatal(err)
	}
	refused := waittest.Holds(waittest.Patience, func() bool {
		kafka.Look(l) // at a broker that may not know yet
		return chat.KindOf(l.Append(t.Context(), message(t, "room", "no"))) == chat.Unavailable
	})
	if !refused {
		t.Error("appends go on")
	}
	c.Partitions = 0 // whatever number there is
	if err := kafkatest.Log(t, c).Append(t.Context(), message(t, "room", "after")); err != nil {
		t.Errorf("a new log: %v", err)
	}
}

func TestManyProcessesEnsureTheTopicsAtOnce(t *testing.T) {
	c := kafkatest.Empty(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := kafka.EnsureTopics(t.Context(), c); err != nil {
				t.Error(err)
			}
			l, err := kafka.NewLog(t.Context(), c)
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Close()
			if err := l.Append(t.Context(), message(t, "room", "hi")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A log that is being made is waited for.
func TestLogIsWaitedFor(t *testing.T) {
	c := kafkatest.Empty(t)
	made := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go func() {
		time.Sleep(300 * time.Millisecond) // by then the log waits, which nothing shows
		made <- kafka.EnsureTopics(ctx, c)
	}()
	l := kafkatest.Log(t, c)
	if err := l.Append(ctx, message(t, "room", "hi")); err != nil {
		t.Error(err)
	}
	if err := <-made; err != nil {
		t.Error(err)
	}
}

// Other programs may append in transactions, whose marks take offsets and are no
// records.
func TestTransactionsOfOthers(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	for i, commit := range []bool{true, false, true} {
		if err := appendInTransaction(t, c, message(t, "room", fmt.Sprint("theirs-", i)), commit); err != nil {
			t.Fatal(err)
		}
		if err := l.Append(t.Context(), message(t, "room", fmt.Sprint("ours-", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := appendInTransaction(t, c, message(t, "room", "last"), true); err != nil {
		t.Fatal(err)
	}
	tail, err := l.Tail(t.Context(), "room") // ends with a mark
	if err != nil {
		t.Fatal(err)
	}
	if want := "theirs-0 ours-0 theirs-1 ours-1 theirs-2 ours-2 last"; ids(tail) != want {
		t.Errorf("got %q, want %q", ids(tail), want)
	}
}
