// Package kafkatest runs a real broker, franz-go's kfake, inside a test, or gives the
// test one that is already running.
package kafkatest

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
)

// Start runs a broker with all topics until the test ends. If KNATTER_TEST_BROKERS
// names brokers, the test gets those instead, with newly created topics.
func Start(t testing.TB) kafka.Config {
	t.Helper()
	c := Empty(t)
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// Empty is like [Start], without topics.
func Empty(t testing.TB) kafka.Config {
	t.Helper()
	if c, ok := external(t); ok {
		return c
	}
	_, c := Cluster(t)
	return c
}

// Cluster runs a broker without topics, until the test ends, for tests that
// inject faults or restart it.
func Cluster(t testing.TB, opts ...kfake.Opt) (*kfake.Cluster, kafka.Config) {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster, small(kafka.Config{Brokers: cluster.ListenAddrs()})
}

func small(c kafka.Config) kafka.Config {
	c.Partitions, c.DeliveryPartitions, c.Timeout = 4, 4, 5*time.Second
	return c
}

// Log connects to the log, until the test ends.
func Log(t testing.TB, c kafka.Config) *kafka.Log {
	t.Helper()
	l, err := kafka.NewLog(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// Commit makes a group done with everything before an event in its partition.
func Commit(t testing.TB, c kafka.Config, group string, partition int32, before chat.Sequence) {
	t.Helper()
	client, err := kgo.NewClient(c.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	offsets := make(kadm.Offsets)
	offsets.AddOffset(chat.TopicRooms, partition, before.Offset(), -1)
	if err := kadm.NewClient(client).CommitAllOffsets(t.Context(), group, offsets); err != nil {
		t.Fatal(err)
	}
}
