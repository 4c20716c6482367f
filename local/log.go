package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"

	"knatter.dev/chat/internal/embedded"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
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
	if cfg.brokers != "" {
		kc, err := externalLog(cfg)
		return kc, func() {}, err
	}
	kc := kafka.Config{RetentionBytes: cfg.retention, Partitions: partitions, Uncompressed: true}
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("knatter"),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "60000"}),
	}
	release := func() {}
	if !cfg.ephemeral {
		dir := filepath.Join(cfg.data, "log")
		lock, err := embedded.Lock(dir)
		if err != nil {
			return kc, nil, err
		}
		release = func() { _ = lock.Close() }
		opts = append(opts, kfake.DataDir(dir))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		release()
		return kc, nil, fmt.Errorf("embedded log: %w", err)
	}
	kc.Brokers = cluster.ListenAddrs()
	return kc, func() { cluster.Close(); release() }, nil
}

// externalLog is the log at the brokers that are given; how they are reached and how
// topics are made there is set by the environment, see [open.LogConfig].
func externalLog(cfg config) (kafka.Config, error) {
	env := environment()
	env["KNATTER_BROKERS"] = cfg.brokers
	kc, err := open.LogConfig(env)
	kc.RetentionBytes = cmp.Or(kc.RetentionBytes, cfg.retention)
	return kc, err
}

// environment is what of the environment is about us.
func environment() map[string]string {
	env := make(map[string]string)
	for _, setting := range os.Environ() {
		if name, value, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "KNATTER_") {
			env[name] = value
		}
	}
	return env
}
