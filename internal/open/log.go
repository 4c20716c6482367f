package open

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/setting"
)

// Log connects to the log. Errors: as those of [kafka.NewLog].
func Log(ctx context.Context, c kafka.Config) (*kafka.Log, error) {
	return kafka.NewLog(ctx, c)
}

// LogConfig reads where the log is, who we are there, and how its topics are made, by
// [LogSettings] and [TopicSettings]. TLS is on by default if any of its files is set.
// Errors: Invalid.
func LogConfig(env setting.Env) (c kafka.Config, err error) {
	var l logSettings
	if err := setting.Read(env, l.all()...); err != nil {
		return c, err
	}
	if len(l.brokers) == 0 {
		return c, chat.Errorf(chat.Invalid, "KNATTER_BROKERS must name the log's brokers, host:port, separated by commas")
	}
	c = kafka.Config{
		Brokers: l.brokers, Generation: l.generation,
		Partitions: l.partitions, DeliveryPartitions: l.deliveries, Replication: l.replication, RetentionBytes: l.retention,
	}
	if c.TLS, err = l.encryption(env["KNATTER_TLS"] != ""); err != nil {
		return c, err
	}
	c.SASL, err = l.login(c.TLS != nil)
	return c, err
}

// encryption is TLS to the brokers, nil for none. said is true when it was set whether
// there is any. Errors: Invalid.
func (l *logSettings) encryption(said bool) (*tls.Config, error) {
	files := l.ca != "" || l.cert != "" || l.key != ""
	on := files
	if said {
		on = l.tls
	}
	switch {
	case !on && files:
		return nil, chat.Errorf(chat.Invalid, "KNATTER_TLS is false, but certificates are given")
	case !on:
		return nil, nil
	}
	config, err := kafka.TLS(l.ca, l.cert, l.key)
	if err != nil {
		return nil, chat.Errorf(chat.Invalid, "KNATTER_TLS_CA, KNATTER_TLS_CERT, KNATTER_TLS_KEY: %w", err)
	}
	return config, nil
}

// login is how we say to the brokers who we are, nil for not at all. Errors: Invalid.
func (l *logSettings) login(encrypted bool) (sasl.Mechanism, error) {
	mechanism, user, password, file := l.mechanism, l.user, l.password, l.passwordFile
	switch {
	case mechanism == "" && user+password+file == "":
		return nil, nil
	case mechanism == "":
		return nil, chat.Errorf(chat.Invalid, "KNATTER_SASL_MECHANISM must be set with a user or password: SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN")
	case user == "":
		return nil, chat.Errorf(chat.Invalid, "KNATTER_SASL_USER must be set with a mechanism")
	case (password == "") == (file == ""):
		return nil, chat.Errorf(chat.Invalid, "one of KNATTER_SASL_PASSWORD and KNATTER_SASL_PASSWORD_FILE must be set with a mechanism")
	case mechanism == "PLAIN" && !encrypted:
		return nil, chat.Errorf(chat.Invalid, "KNATTER_SASL_MECHANISM: PLAIN shows the password to the network, so it needs KNATTER_TLS")
	}
	read := func() (string, error) { return password, nil }
	if file != "" {
		read = func() (string, error) {
			data, err := os.ReadFile(file)
			return strings.TrimRight(string(data), "\r\n"), err
		}
		if _, err := read(); err != nil {
			return nil, chat.Errorf(chat.Invalid, "KNATTER_SASL_PASSWORD_FILE: %w", err)
		}
	}
	m, err := kafka.SASL(mechanism, user, read)
	if err != nil {
		return nil, chat.Errorf(chat.Invalid, "KNATTER_SASL_MECHANISM: %w", err)
	}
	return m, nil
}

// StoreAndLog opens what most functions need: the stores that KNATTER_STORE names
// and the log of [LogConfig], in the generation that [kafka.Recognize] finds. stop
// closes both.
//
// Errors: as those of [Store], [Log], [LogConfig] and kafka.Recognize.
func StoreAndLog(ctx context.Context, env map[string]string) (stores *Stores, log *kafka.Log, stop func() error, err error) {
	config, err := LogConfig(env)
	if err != nil {
		return nil, nil, nil, err
	}
	if stores, err = StoreOf(ctx, env); err != nil {
		return nil, nil, nil, err
	}
	config, err = kafka.Recognize(ctx, config, stores.Progress, stores.Events)
	if err == nil {
		log, err = Log(ctx, config)
	}
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("KNATTER_BROKERS: %w", err), stores.Close())
	}
	return stores, log, func() error {
		log.Close()
		return stores.Close()
	}, nil
}
