package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
)

// partitions are those of the embedded log's rooms: enough for all of one
// machine's cores, and few, as what comes at a time is divided among them and
// smaller batches cost more.
const partitions = 4

// startLog returns how to reach the log, which is embedded unless brokers are
// given, and a function that stops it.
//
// What kfake acknowledges it has written to a file: it survives the end of the
// process by whatever means, but not, as with a single Kafka broker, that of the
// machine.
func startLog(cfg config) (kafka.Config, func(), error) {
	kc := kafka.Config{RetentionBytes: cfg.retention}
	if cfg.brokers != "" {
		kc.Brokers = strings.Split(cfg.brokers, ",")
		return kc, func() {}, nil
	}
	kc.Partitions = partitions
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("knatter"),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "60000"}),
	}
	if !cfg.ephemeral {
		opts = append(opts, kfake.DataDir(filepath.Join(cfg.data, "log")))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return kc, nil, fmt.Errorf("embedded log: %w", err)
	}
	kc.Brokers = cluster.ListenAddrs()
	return kc, cluster.Close, nil
}

// rewind lets a group start again from the beginning of the log. No member of it
// may run.
func rewind(ctx context.Context, kc kafka.Config, group string) error {
	client, err := kgo.NewClient(kc.Options()...)
	if err != nil {
		return fmt.Errorf("rewinding %s: %w", group, err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, chat.TopicRooms)
	if err != nil {
		return fmt.Errorf("rewinding %s: %w", group, err)
	}
	err = admin.CommitAllOffsets(ctx, group, starts.Offsets())
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("rewinding %s: %w", group, err)
	}
	return nil
}
