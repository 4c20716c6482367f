package open

import (
	"context"
	"strconv"
	"strings"

	"knatter.dev/chat"
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
