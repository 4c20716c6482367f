package connector

import (
	"fmt"
	"time"

	"knatter.dev/chat/connector/edge"
	"knatter.dev/chat/internal/setting"
)

const (
	mostFrameBytes = 512 << 10 // what records of the log and requests of functions hold in any case
	mostTime       = time.Hour
)

// Settings are what can be set of c, whose zero values become the defaults.
func Settings(c *Config) []setting.Setting {
	*c = c.withDefaults()
	return []setting.Setting{
		setting.Words(&c.Origins, "origins", "origin,...", "Let pages of these other origins connect, such as https://chat.example; * allows all"),
		trustedProxies(c),
		setting.Number(&c.Connections, "connections", 0, setting.Most, "Maximum number of open connections, sockets included; 0 means as many as the limit of open files allows"),
		setting.Number(&c.ConnectionsPerAddress, "connections-per-address", 0, setting.Most, "Maximum number of open connections from one address that is not a trusted proxy's; 0 means three quarters of all"),
		setting.Time(&c.Heartbeat, "heartbeat", LeastHeartbeat, mostTime, "Interval between pings; a peer silent for two intervals is closed"),
		setting.Number(&c.FrameBytes, "frame-bytes", 1, mostFrameBytes, "Maximum client frame size, in bytes; it holds for the event's delivery too"),
		setting.Number(&c.FramesPerSecond, "frames-per-second", 1, setting.Most, "Maximum rate of one socket, in frames a second"),
		setting.Number(&c.Burst, "burst", 1, setting.Most, "Maximum burst of one socket, in frames"),
		setting.Time(&c.MessageTimeout, "message-timeout", time.Second, mostTime, "Maximum time for a message to be complete after its first byte"),
		setting.Number(&c.UserFramesPerSecond, "user-frames-per-second", 1, setting.Most, "Maximum rate of one user over all sockets and HTTP, in frames a second"),
		setting.Number(&c.UserBurst, "user-burst", 1, setting.Most, "Maximum burst of one user, in frames"),
		setting.Number(&c.UserBytesPerSecond, "user-bytes-per-second", 1, setting.Most, "Maximum rate of one user over all sockets and HTTP, in bytes a second, and maximum burst, in bytes; what exceeds them is read later"),
		setting.Number(&c.RoomBytesPerSecond, "room-bytes-per-second", 1, setting.Most, "Maximum rate of one room through this connector, in bytes a second; what exceeds it waits"),
		setting.Number(&c.Subscriptions, "subscriptions", 1, setting.Most, "Maximum number of rooms that one socket subscribes to"),
		setting.Number(&c.SocketsPerUser, "sockets-per-user", 1, setting.Most, "Maximum number of one user's sockets on this connector"),
		setting.Number(&c.QueueFrames, "queue-frames", 1, setting.Most, "Maximum number of frames that wait for one socket; a socket with more is closed"),
		setting.Number(&c.QueueBytes, "queue-bytes", 1, setting.Most, "Maximum size of the frames that wait for one socket, in bytes; a socket with more is closed"),
		setting.Time(&c.DrainTimeout, "drain-timeout", time.Second, mostTime, "Maximum time to wait for acknowledgements when stopping; stopping takes at most three times as long"),
		setting.Time(&c.FunctionTimeout, "function-timeout", time.Second, mostTime, "Maximum time for a function to answer"),
	}
}

func trustedProxies(c *Config) setting.Setting {
	s := setting.Func("trusted-proxies", "network,...",
		"Believe proxies in these networks, such as 10.0.0.0/8, about the client's address (X-Forwarded-For or Forwarded, from the right) and scheme; nobody else is believed",
		func(value string) (err error) {
			if c.TrustedProxies, err = edge.ParseNetworks(setting.Split(value)); err != nil {
				return fmt.Errorf("must be networks: %w", err)
			}
			return nil
		})
	s.List = true
	return s
}
