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

// Options are settings of a [Conn]; every zero value means the default.
type Options struct {
	// Buffer is how many events may wait for the reader of Events; default 1,024.
	// What comes while it is full is dropped and read again from history.
	Buffer int

	// MaxBackoff is the longest pause between two attempts to connect; default
	// 15 s. The first is short, each further one twice as long, all jittered.
	MaxBackoff time.Duration

	// TokenInHeader sends the token in the handshake's Authorization header
	// instead of in the first frame, as programs can and browsers cannot.
	TokenInHeader bool

	// Dial makes the network connection; default as net.Dialer does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Logger is told of lost connections; default none.
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
	Connects int // sessions opened, the first one included
	Repeated int // events that came again under the same sequence, and were dropped
	Resent   int // events that came again under another sequence, and were dropped
	Paged    int // events that were read from history
}

// Conn is a user's connection to the chat: one socket at a time, replaced when it
// is lost. It is safe for concurrent use.
type Conn struct {
	client  *Client
	tokens  TokenSource
	options Options
	events  chan chat.Event
	behind  chan struct{} // wakes the filler

	ctx  context.Context // ends with the Conn
	stop context.CancelCauseFunc
	done chan struct{} // closed when nothing of the Conn runs any more

	mu       sync.Mutex
	link     *link // nil while there is none
	limits   Limits
	rooms    map[chat.RoomID]*subscription
	all      bool                 // every room of the user, also later ones
	allFrame string               // id of the frame that said so last
	left     map[chat.RoomID]bool // of all rooms, those that were unsubscribed
	notices  []chat.RoomID        // subscriptions that the server ended, for the filler to tell
	pending  []*pending
	seen     seen
	stats    Stats
}

// errClosed is the cause of a Conn's end when its owner closed it.
var errClosed = chat.Errorf(chat.Unavailable, "the connection is closed")

// Connect opens a socket for the session and keeps one open until Close. ctx
// bounds this first attempt only. Errors: those of [Client.Dial].
func (s *Session) Connect(ctx context.Context, o Options) (*Conn, error) {
	return s.client.Dial(ctx, s, o)
}

// Dial is [Session.Connect] for tokens that come from elsewhere. Errors:
// Unauthenticated, Forbidden, Unavailable.
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

// Events has the events of the subscribed rooms: for each room in its order, each
// event once. A room.unsubscribed among them says that the server ended a
// subscription, as when the user was removed from the room. Signals, which have
// no sequence, come along as long as there is place. The channel is closed when
// the Conn has ended.
func (c *Conn) Events() <-chan chat.Event { return c.events }

// Err is why the Conn ended, when it was not by Close: Unauthenticated when the
// user has to log in again, Forbidden, or what the server could not read. It is
// nil before.
func (c *Conn) Err() error {
	if err := context.Cause(c.ctx); !errors.Is(err, errClosed) {
		return err
	}
	return nil
}

// Stats are the counts up to now.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Limits are what the server stated last.
func (c *Conn) Limits() Limits {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limits
}

// Close ends the Conn and returns when nothing of it runs any more. What was not
// acknowledged fails.
func (c *Conn) Close() error {
	c.stop(errClosed)
	<-c.done
	return nil
}

// run owns all that a Conn does: one link after the other, and the filler. It
// ends when the Conn is closed or a link's end says that no other would do.
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

// reopen tries until there is a link again; nil when the Conn has ended.
func (c *Conn) reopen(refused string, wait *backoff) *link {
	for wait.pause(c.ctx) {
		l, err := c.open(c.ctx, refused)
		if err == nil {
			return l
		}
		c.options.Logger.Info("cannot connect", slog.Any("error", err))
		switch reactionTo(err) {
		case giveUp, logInAgain:
			c.stop(endError(err))
		case atOnce, backOff:
		}
	}
	return nil
}
