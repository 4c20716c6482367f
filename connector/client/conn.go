package client

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"knatter.dev/chat"
)

// Options configure a [Conn]. Zero values mean the defaults.
type Options struct {
	// Buffer is the number of events that may wait for the reader of Events; the
	// default is 1,024. What arrives while the buffer is full is dropped, and read
	// again from history.
	Buffer int

	// MaxBackoff is the longest pause between two attempts to connect; the default is
	// 15 s. The first pause is short, each further one is twice as long, and all have
	// jitter.
	MaxBackoff time.Duration

	// TokenInHeader sends the token in the Authorization header of the handshake
	// instead of in the first frame. Programs can do that, browsers cannot.
	TokenInHeader bool

	// Dial opens the network connection; the default is net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Logger receives lost connections; the default discards them.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Buffer = cmp.Or(o.Buffer, 1024)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, 15*time.Second)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	return o
}

// Stats counts what a [Conn] had to do to keep its promises.
type Stats struct {
	Connects int // sessions opened, including the first
	Repeated int // events received again under the same sequence, and dropped
	Resent   int // events received again under another sequence, and dropped
	Paged    int // events read from history
}

// Conn is a user's connection to the chat: one socket at a time, which is replaced when
// it is lost. It is safe for concurrent use.
type Conn struct {
	client  *Client
	tokens  TokenSource
	options Options
	events  chan chat.Event
	behind  chan struct{} // wakes the filler

	ctx  context.Context // ends with the Conn
	stop context.CancelCauseFunc
	done chan struct{} // closed when all goroutines of the Conn have ended

	mu       sync.Mutex
	link     *link // nil while disconnected
	limits   Limits
	rooms    map[chat.RoomID]*subscription
	all      bool                 // subscribe to every room of the user, also later ones
	allFrame string               // id of the last frame that did so
	left     map[chat.RoomID]bool // rooms that were unsubscribed although all is set
	notices  []chat.RoomID        // subscriptions ended by the server, for the filler to report
	pending  []*pending
	seen     seen
	stats    Stats
}

// errClosed is the cause of a Conn's end after Close.
var errClosed = chat.Errorf(chat.Unavailable, "the connection is closed")

// Connect opens a socket for the session, and keeps one open until Close. ctx limits
// the first attempt only. Errors: those of [Client.Dial].
func (s *Session) Connect(ctx context.Context, o Options) (*Conn, error) {
	return s.client.Dial(ctx, s, o)
}

// Dial is [Session.Connect] for tokens from elsewhere. Errors: Unauthenticated,
// Forbidden, Unavailable.
func (c *Client) Dial(ctx context.Context, tokens TokenSource, o Options) (*Conn, error) {
	o = o.withDefaults()
	conn := &Conn{
		client: c, tokens: tokens, options: o,
		events: make(chan chat.Event, o.Buffer),
		behind: make(chan struct{}, 1),
		done:   make(chan struct{}),
		rooms:  make(map[chat.RoomID]*subscription),
		left:   make(map[chat.RoomID]bool),
	}
	conn.ctx, conn.stop = context.WithCancelCause(context.Background())
	first, err := conn.open(ctx, "")
	if err != nil {
		conn.stop(errClosed)
		return nil, err
	}
	go conn.run(first)
	return conn, nil
}

// Events returns the channel of the events of the subscribed rooms: for each room in
// its order, each event once. A room.unsubscribed among them means that the server
// ended a subscription, for example because the user was removed from the room.
// Signals, which have no sequence, are included as long as there is room in the buffer.
// The channel is closed when the Conn has ended.
func (c *Conn) Events() <-chan chat.Event { return c.events }

// Err returns why the Conn ended, if not by Close: Unauthenticated if the user has to
// log in again, Forbidden, or what the server could not read. Before the end it returns
// nil.
func (c *Conn) Err() error {
	if err := context.Cause(c.ctx); !errors.Is(err, errClosed) {
		return err
	}
	return nil
}

// Stats returns the current counts.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Limits returns the limits that the server stated last.
func (c *Conn) Limits() Limits {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limits
}

// Close ends the Conn, and returns when its goroutines have ended. Sends that are not
// acknowledged fail.
func (c *Conn) Close() error {
	c.stop(errClosed)
	<-c.done
	return nil
}

// run owns everything a Conn does: one link after the other, and the filler. It ends
// when the Conn is closed, or when a link ends in a way that rules out another.
func (c *Conn) run(l *link) {
	defer close(c.done)
	var filler sync.WaitGroup
	filler.Go(c.fill)
	wait := backoff{max: c.options.MaxBackoff}
	for l != nil {
		started := time.Now()
		err := c.serve(l)
		if c.ctx.Err() != nil {
			break
		}
		c.options.Logger.Info("connection lost", slog.Any("error", err))
		wait.lived(time.Since(started))
		refused := ""
		switch reactionTo(err) {
		case giveUp:
			c.stop(endError(err))
		case logInAgain:
			refused = l.token.Value
		case atOnce:
			wait.skip()
		case backOff:
		}
		l = c.reopen(refused, &wait)
	}
	filler.Wait()
	close(c.events)
}

// reopen retries until there is a link again. It returns nil if the Conn has ended.
func (c *Conn) reopen(refused string, wait *backoff) *link {
	for wait.pause(c.ctx) {
		l, err := c.open(c.ctx, refused)
		if err == nil {
			return l
		}
		c.options.Logger.Info("connecting failed", slog.Any("error", err))
		switch reactionTo(err) {
		case giveUp, logInAgain:
			c.stop(endError(err))
		case atOnce, backOff:
		}
	}
	return nil
}
