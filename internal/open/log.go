package open

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
)

// Log connects to the log. Errors: as those of [kafka.NewLog].
func Log(ctx context.Context, c kafka.Config) (*kafka.Log, error) {
	return kafka.NewLog(ctx, c)
}

// LogConfig reads where the log is, who we are there, and how its topics are made:
//
//	KNATTER_BROKERS                host:port, comma separated; required
//	KNATTER_GENERATION             of the log, 0 to 31: the least that its newest may be; default 0
//	KNATTER_PARTITIONS             of chat.rooms
//	KNATTER_DELIVERY_PARTITIONS    of chat.deliveries, the most connectors
//	KNATTER_REPLICATION            of all topics
//	KNATTER_RETENTION_BYTES        of each partition of chat.rooms; -1 for all
//	KNATTER_SASL_MECHANISM         SCRAM-SHA-512, SCRAM-SHA-256, or PLAIN (over TLS)
//	KNATTER_SASL_USER
//	KNATTER_SASL_PASSWORD          or
//	KNATTER_SASL_PASSWORD_FILE     read again for each connection
//	KNATTER_TLS                    true or false; true by default if any of these is set:
//	KNATTER_TLS_CA                 file of authorities; default the system's
//	KNATTER_TLS_CERT               file of our certificate, and
//	KNATTER_TLS_KEY                of its key, read again for each connection
//
// Errors: Invalid.
func LogConfig(env map[string]string) (c kafka.Config, err error) {
	for broker := range strings.SplitSeq(env["KNATTER_BROKERS"], ",") {
		if broker = strings.TrimSpace(broker); broker != "" {
			c.Brokers = append(c.Brokers, broker)
		}
	}
	if len(c.Brokers) == 0 {
		return c, chat.Errorf(chat.Invalid, "KNATTER_BROKERS must name the log's brokers, host:port, separated by commas")
	}
	if c.Generation, err = generation(env); err != nil {
		return c, err
	}
	if c.TLS, err = logTLS(env); err != nil {
		return c, err
	}
	if c.SASL, err = logSASL(env, c.TLS != nil); err != nil {
		return c, err
	}
	partitions, err := number(env, "KNATTER_PARTITIONS", 1, 100_000)
	if err != nil {
		return c, err
	}
	deliveries, err := number(env, "KNATTER_DELIVERY_PARTITIONS", 1, 100_000)
	if err != nil {
		return c, err
	}
	replication, err := number(env, "KNATTER_REPLICATION", 1, 100)
	if err != nil {
		return c, err
	}
	c.Partitions, c.DeliveryPartitions, c.Replication = int32(partitions), int32(deliveries), int16(replication)
	c.RetentionBytes, err = number(env, "KNATTER_RETENTION_BYTES", -1, math.MaxInt64)
	return c, err
}

// number reads an optional number that isn't 0.
func number(env map[string]string, name string, from, to int64) (int64, error) {
	value := env[name]
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err == nil && n != 0 && from <= n && n <= to:
		return n, nil
	case from < 0:
		return 0, chat.Errorf(chat.Invalid, "%s must be a positive number or %d", name, from)
	}
	return 0, chat.Errorf(chat.Invalid, "%s must be a number from %d to %d", name, from, to)
}

func logTLS(env map[string]string) (*tls.Config, error) {
	ca, cert, key := env["KNATTER_TLS_CA"], env["KNATTER_TLS_CERT"], env["KNATTER_TLS_KEY"]
	files := ca != "" || cert != "" || key != ""
	on := files
	if value := env["KNATTER_TLS"]; value != "" {
		var err error
		if on, err = strconv.ParseBool(value); err != nil {
			return nil, chat.Errorf(chat.Invalid, "KNATTER_TLS must be true or false")
		}
	}
	switch {
	case !on && files:
		return nil, chat.Errorf(chat.Invalid, "KNATTER_TLS is false, but certificates are given")
	case !on:
		return nil, nil
	}
	config, err := kafka.TLS(ca, cert, key)
	if err != nil {
		return nil, chat.Errorf(chat.Invalid, "KNATTER_TLS_CA, KNATTER_TLS_CERT, KNATTER_TLS_KEY: %w", err)
	}
	return config, nil
}

func logSASL(env map[string]string, encrypted bool) (sasl.Mechanism, error) {
	mechanism, user := env["KNATTER_SASL_MECHANISM"], env["KNATTER_SASL_USER"]
	password, file := env["KNATTER_SASL_PASSWORD"], env["KNATTER_SASL_PASSWORD_FILE"]
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

// generation reads KNATTER_GENERATION, 0 when it is not set. Errors: Invalid.
func generation(env map[string]string) (int, error) {
	value := env["KNATTER_GENERATION"]
	if value == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > 31 {
		return 0, chat.Errorf(chat.Invalid, "KNATTER_GENERATION must be a number from 0 to 31")
	}
	return n, nil
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
