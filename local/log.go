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

// partitions is the number of partitions of the embedded log's rooms: enough for all
// cores of one machine, but few, since concurrent events are divided among them and
// smaller batches cost more.
const partitions = 4

// startLog returns how to reach the log. Unless brokers are given it starts the
// embedded log, and returns its broker, too.
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

// externalLog returns the log at the given brokers. The environment says how to reach
// them and how to create topics; see [open.LogConfig].
func externalLog(cfg config) (kafka.Config, error) {
	env := environment()
	env["KNATTER_BROKERS"] = cfg.brokers
	kc, err := open.LogConfig(env)
	kc.RetentionBytes = cmp.Or(kc.RetentionBytes, cfg.retention)
	return kc, err
}

// environment returns our part of the environment.
func environment() map[string]string {
	env := make(map[string]string)
	for _, setting := range os.Environ() {
		if name, value, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "KNATTER_") {
			env[name] = value
		}
	}
	return env
}
