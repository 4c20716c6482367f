package main

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
	"knatter.dev/chat/internal/program"
)

const (
	most           = 1 << 30   // of what has no bound of its own
	mostFrameBytes = 512 << 10 // what records of the log and requests of functions hold in any case
)

var (
	listen  = program.Setting{Name: "listen", Value: "address", Default: ":8080", Usage: "of the chat: page, WebSocket and HTTP"}
	ordinal = program.Setting{
		Name: "ordinal", Value: "number", Check: program.Number(0, 99_999),
		Usage: "which partition of chat.deliveries is this connector's, and no other's; if it is not set, the number after the last \"-\" of the host's name",
	}
	origins = program.Setting{Name: "origins", Value: "origin,...", Usage: "whose pages may connect beside our own; * for all"}
	trusted = program.Setting{
		Name: "trusted-proxies", Value: "network,...",
		Usage: "of the proxies in front, as in 10.0.0.0/8, which are believed whom they pass on (X-Forwarded-For or Forwarded, from the right) and by which scheme; nobody else is",
		Check: func(value string) error {
			_, err := connector.ParseNetworks(program.Words(value))
			return err
		},
	}
	heartbeat  = program.Setting{Name: "heartbeat", Value: "time", Default: "25s", Check: program.Duration(time.Second, time.Hour), Usage: "between pings; a peer silent for two is closed"}
	frameBytes = program.Setting{
		Name: "frame-bytes", Value: "number", Default: strconv.Itoa(64 << 10), Check: program.Number(1, mostFrameBytes),
		Usage: "of the largest event that a client may send, and of its delivery",
	}
	framesPerSecond = number("frames-per-second", 100, "of one socket")
	burst           = number("burst", 1000, "frames at once, of one socket")
	messageTimeout  = program.Setting{Name: "message-timeout", Value: "time", Default: "10s", Check: program.Duration(time.Second, time.Hour), Usage: "for a message to be complete once it has begun"}
	userFrames      = number("user-frames-per-second", 300, "of one user, over all sockets and HTTP")
	userBurst       = number("user-burst", 3000, "frames at once, of one user")
	userBytes       = number("user-bytes-per-second", 1<<20, "of one user, and at once; what is over that is read later")
	roomBytes       = number("room-bytes-per-second", 4<<20, "written to one room through this connector; what is over that waits")
	subscriptions   = number("subscriptions", 2000, "rooms of one socket")
	socketsPerUser  = number("sockets-per-user", 50, "of one user, on this connector")
	openAtOnce      = program.Setting{Name: "connections", Value: "number", Check: program.Number(1, most), Usage: "open at once, sockets among them; if it is not set, as many as there are files for, less what the process needs itself"}
	perAddress      = program.Setting{Name: "connections-per-address", Value: "number", Check: program.Number(1, most), Usage: "of one address that is no trusted proxy's; if it is not set, three quarters of all"}
	queueFrames     = number("queue-frames", 4096, "waiting for one socket; one with more is closed")
	queueBytes      = number("queue-bytes", 4<<20, "waiting for one socket; one with more is closed")
	drainTimeout    = program.Setting{Name: "drain-timeout", Value: "time", Default: "5s", Check: program.Duration(time.Second, time.Hour), Usage: "for acknowledgements when stopping; it takes at most three times as long"}
	functionTimeout = program.Setting{Name: "function-timeout", Value: "time", Default: "30s", Check: program.Duration(time.Second, time.Hour), Usage: "for a function's answer"}
)

func number(name string, standard int, usage string) program.Setting {
	return program.Setting{Name: name, Value: "number", Default: strconv.Itoa(standard), Usage: usage, Check: program.Number(1, most)}
}

func settings() []program.Setting {
	all := slices.Concat(
		[]program.Setting{listen, program.AdminAddress, ordinal},
		program.LogAndStore(),
		[]program.Setting{program.DeliveryPartitions, program.JWKS},
		program.Callers,
	)
	for _, name := range chat.RequestFunctions {
		all = append(all, program.FunctionURL(name, true))
	}
	return append(all, origins, trusted, openAtOnce, perAddress, heartbeat, frameBytes, framesPerSecond, burst, messageTimeout, userFrames, userBurst, userBytes, roomBytes,
		subscriptions, socketsPerUser, queueFrames, queueBytes, drainTimeout, functionTimeout)
}

// configOf is the connector's configuration. Errors: Invalid.
func configOf(env program.Env, hostname func() (string, error)) (connector.Config, error) {
	n, err := ordinalOf(env, hostname)
	if err != nil {
		return connector.Config{}, err
	}
	networks, err := connector.ParseNetworks(program.List(env, trusted))
	if err != nil {
		return connector.Config{}, err
	}
	return connector.Config{
		MessageTimeout:        program.Time(env, messageTimeout),
		UserFramesPerSecond:   program.Int(env, userFrames),
		UserBurst:             program.Int(env, userBurst),
		UserBytesPerSecond:    program.Int(env, userBytes),
		RoomBytesPerSecond:    program.Int(env, roomBytes),
		Ordinal:               n,
		Heartbeat:             program.Time(env, heartbeat),
		FrameBytes:            program.Int(env, frameBytes),
		FramesPerSecond:       program.Int(env, framesPerSecond),
		Burst:                 program.Int(env, burst),
		Subscriptions:         program.Int(env, subscriptions),
		SocketsPerUser:        program.Int(env, socketsPerUser),
		QueueFrames:           program.Int(env, queueFrames),
		QueueBytes:            program.Int(env, queueBytes),
		Origins:               program.List(env, origins),
		DrainTimeout:          program.Time(env, drainTimeout),
		FunctionTimeout:       program.Time(env, functionTimeout),
		TrustedProxies:        networks,
		Connections:           program.Int(env, openAtOnce),
		ConnectionsPerAddress: program.Int(env, perAddress),
	}, nil
}

// ordinalOf is the connector's ordinal, from the host's name as StatefulSets give
// it unless it is set. Errors: Invalid.
func ordinalOf(env program.Env, hostname func() (string, error)) (int, error) {
	n := program.Int(env, ordinal)
	if env[ordinal.Env()] == "" {
		host, err := hostname()
		if err != nil {
			return 0, chat.Errorf(chat.Invalid, "KNATTER_ORDINAL must be set, as the host's name is not known: %w", err)
		}
		name, _, _ := strings.Cut(host, ".")
		at := strings.LastIndexByte(name, '-')
		number, err := strconv.ParseUint(name[at+1:], 10, 16)
		if err != nil || at < 0 {
			return 0, chat.Errorf(chat.Invalid, "KNATTER_ORDINAL must be set, as the host's name, %s, does not end in \"-\" and a number", host)
		}
		n = int(number)
	}
	if partitions := program.Int(env, program.DeliveryPartitions); partitions > 0 && n >= partitions {
		return 0, chat.Errorf(chat.Invalid, "KNATTER_ORDINAL is %d, but KNATTER_DELIVERY_PARTITIONS is %d, which are for the ordinals below that", n, partitions)
	}
	return n, nil
}
