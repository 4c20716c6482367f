package open

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/kafka"
)

// Log connects to the log. Errors: Unavailable, Invalid when c has no brokers.
func Log(ctx context.Context, c kafka.Config) (*kafka.Log, error) {
	return kafka.NewLog(ctx, c)
}

// LogConfig reads where the log is from KNATTER_BROKERS (host:port, comma
// separated) and KNATTER_GENERATION (default 0). Errors: Invalid.
func LogConfig(env map[string]string) (kafka.Config, error) {
	var c kafka.Config
	for broker := range strings.SplitSeq(env["KNATTER_BROKERS"], ",") {
		if broker = strings.TrimSpace(broker); broker != "" {
			c.Brokers = append(c.Brokers, broker)
		}
	}
	if len(c.Brokers) == 0 {
		return c, chat.Errorf(chat.Invalid, "KNATTER_BROKERS must name the log's brokers, host:port, separated by commas")
	}
	var err error
	c.Generation, err = Generation(env)
	return c, err
}

// Generation reads the log's generation from KNATTER_GENERATION, 0 when it is
// not set. Errors: Invalid.
func Generation(env map[string]string) (int, error) {
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
// and the log of [LogConfig]. stop closes both.
//
// Errors: as those of [Store], [Log] and [LogConfig].
func StoreAndLog(ctx context.Context, env map[string]string) (stores *Stores, log *kafka.Log, stop func() error, err error) {
	config, err := LogConfig(env)
	if err != nil {
		return nil, nil, nil, err
	}
	if stores, err = Store(ctx, env["KNATTER_STORE"]); err != nil {
		return nil, nil, nil, err
	}
	if log, err = Log(ctx, config); err != nil {
		return nil, nil, nil, errors.Join(err, stores.Close())
	}
	return stores, log, func() error {
		log.Close()
		return stores.Close()
	}, nil
}

// Keys says where the public keys are: at the URL KNATTER_JWKS, from which they
// are fetched when they are asked for. Errors: Invalid when it is not set.
func Keys(env map[string]string) (auth.KeySource, error) {
	jwks := env["KNATTER_JWKS"]
	if jwks == "" {
		return nil, chat.Errorf(chat.Invalid, "KNATTER_JWKS must be the URL of the accounts function's public keys")
	}
	return auth.JWKS(jwks, nil), nil
}
