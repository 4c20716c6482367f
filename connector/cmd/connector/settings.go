package main

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
	"knatter.dev/chat/connector/edge"
	"knatter.dev/chat/internal/program"
)

const (
	most           = 1 << 30   // of what has no bound of its own
	mostFrameBytes = 512 << 10 // what records of the log and requests of functions hold in any case
)

var (
	listen  = program.Setting{Name: "listen", Value: "address", Default: ":8080", Usage: "Serve page, WebSocket and HTTP on this address"}
	ordinal = program.Setting{
		Name: "ordinal", Value: "number", Check: program.Number(0, 99_999),
		Usage: "This connector's partition of chat.deliveries, which no other connector may have; by default the number after the last \"-\" of the host's name",
	}
	origins = program.Setting{Name: "origins", Value: "origin,...", Usage: "Let pages of these other origins connect; * allows all"}
	trusted = program.Setting{
		Name: "trusted-proxies", Value: "network,...",
		Usage: "Believe proxies in these networks, such as 10.0.0.0/8, about the client's address (X-Forwarded-For or Forwarded, from the right) and scheme; nobody else is believed",
		Check: func(value string) error {
			_, err := edge.ParseNetworks(program.Words(value))
			return err
		},
	}
	heartbeat  = program.Setting{Name: "heartbeat", Value: "time", Default: "25s", Check: program.Duration(time.Second, time.Hour), Usage: "Interval between pings; a peer silent for two intervals is closed"}
	frameBytes = program.Setting{
		Name: "frame-bytes", Value: "number", Default: strconv.Itoa(64 << 10), Check: program.Number(1, mostFrameBytes),
		Usage: "Maximum client frame size, in bytes; it holds for the event's delivery too",
	}
	framesPerSecond = number("frames-per-second", 100, "Maximum rate of one socket, in frames a second")
	burst           = number("burst", 1000, "Maximum burst of one socket, in frames")
	messageTimeout  = program.Setting{Name: "message-timeout", Value: "time", Default: "10s", Check: program.Duration(time.Second, time.Hour), Usage: "Maximum time for a message to be complete after its first byte"}
	userFrames      = number("user-frames-per-second", 300, "Maximum rate of one user over all sockets and HTTP, in frames a second")
	userBurst       = number("user-burst", 3000, "Maximum burst of one user, in frames")
	userBytes       = number("user-bytes-per-second", 1<<20, "Maximum rate of one user over all sockets and HTTP, in bytes a second, and maximum burst, in bytes; what exceeds them is read later")
	roomBytes       = number("room-bytes-per-second", 4<<20, "Maximum rate of one room through this connector, in bytes a second; what exceeds it waits")
	subscriptions   = number("subscriptions", 2000, "Maximum number of rooms that one socket subscribes to")
	socketsPerUser  = number("sockets-per-user", 50, "Maximum number of one user's sockets on this connector")
	openAtOnce      = program.Setting{Name: "connections", Value: "number", Check: program.Number(1, most), Usage: "Maximum number of open connections, sockets included; by default as many as the limit of open files allows"}
	perAddress      = program.Setting{Name: "connections-per-address", Value: "number", Check: program.Number(1, most), Usage: "Maximum number of open connections from one address that is not a trusted proxy's; by default three quarters of all"}
	queueFrames     = number("queue-frames", 4096, "Maximum number of frames that wait for one socket; a socket with more is closed")
	queueBytes      = number("queue-bytes", 4<<20, "Maximum size of the frames that wait for one socket, in bytes; a socket with more is closed")
	drainTimeout    = program.Setting{Name: "drain-timeout", Value: "time", Default: "5s", Check: program.Duration(time.Second, time.Hour), Usage: "Maximum time to wait for acknowledgements when stopping; stopping takes at most three times as long"}
	functionTimeout = program.Setting{Name: "function-timeout", Value: "time", Default: "30s", Check: program.Duration(time.Second, time.Hour), Usage: "Maximum time for a function to answer"}
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
	networks, err := edge.ParseNetworks(program.List(env, trusted))
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
