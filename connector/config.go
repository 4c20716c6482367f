package connector

import (
	"cmp"
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/projection"
)

// LeastHeartbeat is the shortest time between pings: whether one is due is looked at as
// often.
const LeastHeartbeat = sweepEvery

// Config are a connector's settings; every zero value means the default.
type Config struct {
	Ordinal         int           // which partition of chat.deliveries is this connector's; default 0
	Heartbeat       time.Duration // between pings, LeastHeartbeat or more; a peer silent for two is closed; default 25 s
	OpenTimeout     time.Duration // for the token to come; default 10 s
	FrameBytes      int           // largest frame a client may send; default 64 KiB
	FramesPerSecond int           // of one socket; default 100
	Burst           int           // frames at once of one socket; default 1,000
	MessageTimeout  time.Duration // for a message to be complete once it has begun; default 10 s

	// Of one user, over all sockets and HTTP. Frames over the rate are refused, bytes
	// over theirs are read later.
	UserFramesPerSecond int // default 300
	UserBurst           int // frames at once; default 3,000
	UserBytesPerSecond  int // and at once; default 1 MiB
	RoomBytesPerSecond  int // written to one room by this connector's clients; what is over that waits; default 4 MiB

	Subscriptions   int            // rooms of one socket; default 2,000
	SocketsPerUser  int            // default 50
	QueueFrames     int            // waiting for one socket; default 4,096
	QueueBytes      int            // waiting for one socket; default 4 MiB
	WriteTimeout    time.Duration  // a peer that takes nothing for so long is gone; default 10 s
	Origins         []string       // allowed beside the page's own, e.g. "https://chat.example"; "*" allows all
	DrainTimeout    time.Duration  // for acks in flight when stopping; default 5 s
	MaxRequestBody  int            // of POST /v1/events; default 1 MiB. Other requests have serve.MaxRequest
	BodyBytes       int            // of all requests' bodies together; default 32 MiB, of which one address may hold a quarter
	BodyTimeout     time.Duration  // for a request's body to come; default 30 s
	FunctionTimeout time.Duration  // for a function's answer; default 30 s
	TrustedProxies  []netip.Prefix // proxies in front, which are believed whom they pass on; default none

	Connections           int // at once, sockets among them; default: as many as there are files for, less what the process needs itself
	ConnectionsPerAddress int // of one address that is no trusted proxy's; default three quarters of those
}

func (c Config) withDefaults() Config {
	c.Heartbeat = cmp.Or(c.Heartbeat, 25*time.Second)
	c.OpenTimeout = cmp.Or(c.OpenTimeout, 10*time.Second)
	c.FrameBytes = cmp.Or(c.FrameBytes, 64<<10)
	c.FramesPerSecond = cmp.Or(c.FramesPerSecond, 100)
	c.Burst = cmp.Or(c.Burst, 1000)
	c.MessageTimeout = cmp.Or(c.MessageTimeout, 10*time.Second)
	c.UserFramesPerSecond = cmp.Or(c.UserFramesPerSecond, max(300, c.FramesPerSecond))
	c.UserBurst = cmp.Or(c.UserBurst, max(3000, c.Burst))
	c.UserBytesPerSecond = cmp.Or(c.UserBytesPerSecond, 1<<20)
	c.RoomBytesPerSecond = cmp.Or(c.RoomBytesPerSecond, 4<<20)
	c.Subscriptions = cmp.Or(c.Subscriptions, 2000)
	c.SocketsPerUser = cmp.Or(c.SocketsPerUser, 50)
	c.QueueFrames = cmp.Or(c.QueueFrames, 4096)
	c.QueueBytes = cmp.Or(c.QueueBytes, 4<<20)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 5*time.Second)
	c.MaxRequestBody = cmp.Or(c.MaxRequestBody, 1<<20)
	c.BodyBytes = cmp.Or(c.BodyBytes, 32<<20)
	c.BodyTimeout = cmp.Or(c.BodyTimeout, 30*time.Second)
	c.FunctionTimeout = cmp.Or(c.FunctionTimeout, 30*time.Second)
	return c
}

// Log is the part of the log that a connector writes.
type Log interface {
	// Append is as in [chat.Log].
	Append(ctx context.Context, events ...*chat.Event) error
	// AppendAsync logs e after everything appended before it with the same
	// stream, and calls done once: with nil when it is acknowledged and
	// e.Sequence is set, or with the reason, Unavailable. It never blocks.
	AppendAsync(ctx context.Context, e *chat.Event, done func(error))
	// Tail is as in [chat.Log].
	Tail(ctx context.Context, stream chat.StreamID) ([]chat.Event, error)
	// End is the least sequence that an event of the stream could get that is logged
	// after the call. Errors: Unavailable.
	End(ctx context.Context, stream chat.StreamID) (chat.Sequence, error)
	// Latest is the latest time of the last events of all partitions; zero when there
	// are none. Errors: Unavailable.
	Latest(ctx context.Context) (time.Time, error)
	// Ready reports whether events can be logged, and takes what was refused before.
	// Errors: Unavailable.
	Ready(ctx context.Context) error
}

// Signals is where signals are passed on.
type Signals interface {
	// Signal passes a signal on, if it can be done at once. It never blocks.
	Signal(ctx context.Context, e *chat.Event)
}

// Accounts is the part of [chat.AccountStore] that a connector reads.
type Accounts interface {
	Account(ctx context.Context, user chat.UserID) (chat.Account, error)
}

// Follow consumes the connector's partition of chat.deliveries from its end on
// until ctx ends. It calls ready when the position is fixed, then handle with
// what comes, in order. It returns when records were lost unread.
type Follow func(ctx context.Context, ready func(), handle func([]chat.Delivery)) error

// Parts is what a connector works with.
type Parts struct {
	Log       Log
	Signals   Signals
	Follow    Follow
	Deliverer chat.Deliverer // by which readiness is proved; nil: the log's Ready alone
	Rooms     projection.Rooms
	Store     func(context.Context) error // whether the stores can be read and written; nil for always
	Accounts  Accounts                    // for nicknames of now; nil: as the tokens have them
	Verifier  *auth.Verifier
	Functions map[string]http.RoundTripper // by name, see [chat.FunctionFor]
	Web       []fs.FS                      // files that are served: the web client, the API documents
	Logger    *slog.Logger
}
