// Package kafkatest runs a real broker, franz-go's kfake, inside a test.
package kafkatest

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"knatter.dev/chat/internal/kafka"
)

// Start runs a broker with all topics, until the test ends.
func Start(t testing.TB) kafka.Config {
	t.Helper()
	_, c := Cluster(t)
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Fatal(err)
	}
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
	return cluster, kafka.Config{Brokers: cluster.ListenAddrs(), Partitions: 4, DeliveryPartitions: 4, Timeout: 5 * time.Second}
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
