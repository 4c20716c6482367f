package main

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"

	"knatter.dev/chat/internal/embedded"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
)

// partitions are those of the embedded log's rooms: enough for all of one
// machine's cores, and few, as what comes at a time is divided among them and
// smaller batches cost more.
const partitions = 4

// startLog returns how to reach the log, which is embedded unless brokers are
// given, and its broker then.
func startLog(cfg config) (kafka.Config, *embedded.Broker, error) {
	if cfg.brokers != "" {
		kc, err := externalLog(cfg)
		return kc, nil, err
	}
	kc := kafka.Config{RetentionBytes: cfg.retention, Trimmed: true, Partitions: partitions, Uncompressed: true}
	opts := embedded.Options{NoSync: cfg.noSync, Keep: kc.Keeps(), Private: cfg.private}
	if !cfg.ephemeral {
		opts.Dir = filepath.Join(cfg.data, "log")
	}
	broker, err := embedded.Start(opts)
	if err != nil {
		return kc, nil, err
	}
	kc.Brokers, kc.SASL = broker.Addrs(), broker.SASL()
	return kc, broker, nil
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
