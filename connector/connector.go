// Package connector is the gateway: it holds the sockets, logs what clients send,
// and sends them what fan-out delivers; it serves the web client and passes HTTP
// requests on to the functions.
package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/edge"
	"knatter.dev/chat/connector/hub"
	"knatter.dev/chat/connector/socket"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/wait"
)

const (
	sweepEvery       = time.Second
	streamSweepEvery = 5 * time.Minute // a route that nobody follows for so long is closed
	followRetry      = time.Second
	pingTimeout      = 2 * time.Second
)

// Connector is one gateway process's state.
type Connector struct {
	cfg       Config
	source    string // of its own frames
	log       Log
	signals   Signals
	follow    Follow
	store     func(context.Context) error
	verifier  *auth.Verifier
	functions edge.Functions
	logger    *slog.Logger
	metrics   *metrics
	members   *members
	publisher *publisher
	edge      *edge.Server
	hub       *hub.Hub
	shares    *shares
	accounts  Accounts
	started   time.Time
	pages     *pages
	writers   *socket.Writers // while serving

	ctx      context.Context // of everything that outlives a request
	cancel   context.CancelFunc
	draining atomic.Bool
	ready    atomic.Bool // deliveries are being followed
	prober   *prober

	mu       sync.Mutex
	sessions map[*session]struct{}
}

// New returns a connector that does nothing yet.
func New(cfg Config, parts Parts) (*Connector, error) {
	cfg = cfg.withDefaults()
	if cfg.Heartbeat < LeastHeartbeat {
		return nil, chat.Errorf(chat.Invalid, "the heartbeat must be at least %v", LeastHeartbeat)
	}
	c := &Connector{
		cfg:       cfg,
		source:    hub.SourceOf(cfg.Ordinal),
		log:       parts.Log,
		signals:   parts.Signals,
		follow:    parts.Follow,
		store:     parts.Store,
		verifier:  parts.Verifier,
		functions: parts.Functions,
		logger:    parts.Logger,
		metrics:   newMetrics(),
		shares:    newShares(cfg),
		accounts:  parts.Accounts,
		started:   time.Now(),
		members:   &members{RoomStore: parts.Rooms},
		pages:     newPages(),
		sessions:  make(map[*session]struct{}),
	}
	if c.logger == nil {
		c.logger = slog.Default()
	}
	c.prober = &prober{deliver: parts.Deliverer, log: parts.Log, self: cfg.Ordinal}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.hub = hub.New(c.ctx, c.log, cfg.Ordinal, c.logger)
	rules := &rules{
		hub: c.hub, log: parts.Log, store: parts.Rooms, slow: slow{functions: parts.Functions}, logger: c.logger,
		rooms: make(map[chat.RoomID]*roomRules),
	}
	c.functions = maps.Clone(c.functions)
	if f := c.functions["rooms"]; f != nil {
		c.functions["rooms"] = changes{f, rules}
	}
	c.publisher = &publisher{
		log: parts.Log, members: c.members, rules: rules, checker: &checker{functions: parts.Functions, timeout: cfg.FunctionTimeout},
		sent: newSent(), marks: newMarks(c.ctx, parts.Log, c.hub.Reached), draining: c.draining.Load, frameBytes: cfg.FrameBytes,
	}
	var err error
	c.edge, err = edge.New(c.ctx, edge.Config{
		Origins:               cfg.Origins,
		TrustedProxies:        cfg.TrustedProxies,
		Connections:           cfg.Connections,
		ConnectionsPerAddress: cfg.ConnectionsPerAddress,
		BodyBytes:             cfg.BodyBytes,
		BodyTimeout:           cfg.BodyTimeout,
		FunctionTimeout:       cfg.FunctionTimeout,
	}, edge.Parts{Functions: c.functions, Web: parts.Web, Logger: c.logger})
	if err != nil {
		c.cancel()
		return nil, err
	}
	c.handle()
	return c, nil
}

// Serve accepts connections from ln and follows the deliveries until ctx ends,
// then drains: no new sockets, in-flight acks, close code 1001, routes closed.
func (c *Connector) Serve(ctx context.Context, ln net.Listener) error {
	c.writers = socket.StartWriters()
	defer c.writers.Stop()
	var wg sync.WaitGroup
	wg.Go(c.followDeliveries)
	wg.Go(c.sweeps)
	failed := make(chan error, 1)
	wg.Go(func() { failed <- c.edge.Serve(ln) })

	var err error
	select {
	case <-ctx.Done():
		err = c.drain()
	case err = <-failed:
		err = fmt.Errorf("listening: %w", err)
	}
	c.cancel()
	stop, cancel := context.WithTimeout(context.Background(), c.cfg.DrainTimeout)
	defer cancel()
	err = errors.Join(err, c.edge.Shutdown(stop))
	wg.Wait()
	return err
}

// Ready reports whether the connector can serve: it follows its deliveries, events can
// be logged and stored, and what is in the log arrives here. Errors: Unavailable.
func (c *Connector) Ready(ctx context.Context) error {
	if c.draining.Load() {
		return chat.Errorf(chat.Unavailable, "draining")
	}
	if !c.ready.Load() {
		return chat.Errorf(chat.Unavailable, "not following the deliveries yet")
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := c.prober.check(ctx); err != nil {
		return chat.Errorf(chat.Unavailable, "the log: %w", err)
	}
	if c.store == nil {
		return nil
	}
	if err := c.store(ctx); err != nil {
		return chat.Errorf(chat.Unavailable, "the store: %w", err)
	}
	return nil
}

func (c *Connector) followDeliveries() {
	set := false
	for c.ctx.Err() == nil {
		set = set || c.setClock()
		begun := false
		err := c.follow(c.ctx, func() {
			begun = true
			c.hub.Begin()
			c.ready.Store(true)
		}, func(deliveries []chat.Delivery) {
			if deliveries = c.prober.take(deliveries); len(deliveries) == 0 {
				return
			}
			c.metrics.delivered.Add(float64(len(deliveries)))
			if e, err := chat.DecodeFrame(deliveries[0].Frame); err == nil {
				c.metrics.delays.Observe(max(time.Since(e.Time), 0).Seconds())
				chat.Saw(e.Time) // of any connector's, whose clock may be ahead
			}
			for i := range deliveries {
				c.hub.Deliver(&deliveries[i])
			}
		})
		if c.ctx.Err() != nil {
			return
		}
		c.logger.Error("following the deliveries", "error", err)
		if begun { // whatever was delivered meanwhile is gone: clients resume from the log
			c.ready.Store(false)
			c.lost()
		}
		wait.For(followRetry, c.ctx.Done())
	}
}

// lost is called when deliveries were lost unread: every socket resumes from what its
// client has.
func (c *Connector) lost() {
	c.hub.Lost()
	c.publisher.rules.drop(true)
	for _, s := range c.list() {
		s.close(CloseDraining, "resume")
	}
}

// setClock makes times go on from those at the log's end, whoever gave them; false when
// they are not to be had.
func (c *Connector) setClock() bool {
	latest, err := c.log.Latest(c.ctx)
	if err != nil {
		c.logger.Warn("reading the times at the log's end", "error", err)
		return false
	}
	chat.Saw(latest)
	return true
}

// drain lets clients go without a loss: each close frame waits for its acks.
func (c *Connector) drain() error {
	c.draining.Store(true)
	deadline := time.Now().Add(c.cfg.DrainTimeout)
	c.publisher.marks.drain()
	for begin := time.Now(); !c.publisher.marks.drained() && time.Since(begin) < c.cfg.DrainTimeout/2; {
		time.Sleep(time.Millisecond) // so that their acks come before the close frames
	}
	for _, s := range c.list() {
		s.close(CloseDraining, "draining")
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline.Add(c.cfg.DrainTimeout))
	defer cancel()
	err := c.hub.CloseRoutes(ctx)
	for (c.count() > 0 || !c.publisher.marks.drained()) && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	for _, s := range c.list() {
		_ = s.net.Close()
	}
	return err
}

// sweeps looks after what no event tells of: silence, expiry, disuse.
func (c *Connector) sweeps() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	streams := time.Now()
	for {
		select {
		case <-c.ctx.Done():
			return
		case now := <-tick.C:
			for _, s := range c.list() {
				s.sweep(now, c.elapsed())
			}
			c.shares.sweep()
			c.members.departed.sweep()
			c.publisher.marks.sweep()
			if now.Sub(streams) >= streamSweepEvery {
				streams = now
				c.publisher.rules.drop(false)
				c.publisher.rules.slow.sweep()
				c.hub.Sweep()
			}
		}
	}
}

// elapsed is the time since the connector's start. Unlike the clock it goes on steadily.
func (c *Connector) elapsed() time.Duration { return time.Since(c.started) }

// sweep pings the peer when it is time, and closes a session without a token, with
// an expired one, with a silent peer or with a message that takes too long. clock is what
// the clock shows, now the time since the connector's start.
func (s *session) sweep(clock time.Time, now time.Duration) {
	s.mu.Lock()
	claims := s.claims
	s.mu.Unlock()
	seen, pinged, begun := time.Duration(s.seen.Load()), time.Duration(s.pinged.Load()), time.Duration(s.begun.Load())
	waits := s.waits.Load()
	switch {
	case claims.User == "" && now-s.opened > s.c.cfg.OpenTimeout:
		s.close(CloseUnauthorized, "no token")
	case claims.User != "" && !clock.Before(claims.Expires):
		s.close(CloseUnauthorized, "the token expired")
	case begun != 0 && now-begun > s.c.cfg.MessageTimeout && !waits:
		s.close(CloseTooSlow, "a message was not finished")
	case now-seen > 2*s.c.cfg.Heartbeat && !waits:
		s.close(closeAbnormal, "")
	case now-pinged >= s.c.cfg.Heartbeat:
		s.pinged.Store(int64(now))
		s.out.Push(pingFrame)
	}
}

var pingFrame = socket.Frame(socket.Ping, nil)

// enter lists a new session; false when the connector is draining.
func (c *Connector) enter(s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining.Load() {
		_ = s.net.Close()
		return false
	}
	c.sessions[s] = struct{}{}
	c.metrics.sockets.Inc()
	return true
}

func (c *Connector) drop(s *session) {
	c.mu.Lock()
	delete(c.sessions, s)
	c.mu.Unlock()
	c.metrics.sockets.Dec()
	if s.share != nil {
		c.shares.leave(s.share)
	}
}

func (c *Connector) list() []*session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.sessions))
}

func (c *Connector) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}
