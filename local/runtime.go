package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
	"knatter.dev/chat/connector/api"
	"knatter.dev/chat/connector/web"
	"knatter.dev/chat/functions"
	"knatter.dev/chat/functions/index"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/embedded"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/program"
	"knatter.dev/chat/internal/serve"
)

// stopTimeout is how long a function may take to finish when the process stops. What it
// does not finish remains in the log.
const stopTimeout = 3 * time.Second

// batches is the number of batches of a function that may be in flight: at least one of
// each partition, so that they can share a commit.
const batches = 32

// run starts everything. When ctx ends it stops everything in reverse order: first the
// connector drains, then the dispatchers finish and commit, then the log and the stores
// close.
func run(ctx context.Context, cfg config, start time.Time) (err error) {
	ln, err := net.Listen("tcp", cfg.listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w (another address: --listen)", cfg.listen, err)
	}
	defer func() { _ = ln.Close() }()

	parts, err := openParts(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, parts.close()) }()

	gateway, err := connector.New(cfg.connector, connector.Parts{
		Log:       parts.log,
		Signals:   parts.deliverer,
		Deliverer: parts.log,
		Follow: func(ctx context.Context, ready func(), handle func([]chat.Delivery)) error {
			return kafka.FollowDeliveries(ctx, parts.kafka, 0, ready, handle)
		},
		Rooms:     parts.stores.Rooms,
		Store:     parts.check,
		Accounts:  parts.stores.Accounts,
		Verifier:  parts.verifier,
		Functions: parts.requests,
		Web:       []fs.FS{web.Files, api.Files},
	})
	if err != nil {
		return err
	}
	metrics := gateway.Collectors()
	for _, d := range parts.dispatchers {
		metrics = append(metrics, d.Collectors()...)
	}
	admin, err := program.ListenAdmin(cfg.admin, gateway.Ready, metrics...)
	if err != nil {
		return err
	}

	// Two stages: the connector stops first, so that what it still logs is handled.
	following, stopFollowing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFollowing()
	followers, following := errgroup.WithContext(following)
	for _, d := range parts.dispatchers {
		followers.Go(func() error { return d.Run(following) })
	}
	front, serving := errgroup.WithContext(ctx)
	front.Go(func() error { return gateway.Serve(serving, ln) })
	front.Go(func() error { return admin.Serve(serving) })
	front.Go(func() error { // a dispatcher that fails ends the process
		select {
		case <-following.Done():
			return errors.New("a dispatcher stopped")
		case <-serving.Done():
			return nil
		}
	})
	front.Go(func() error {
		announce(serving, cfg, gateway, ln, parts, start)
		return nil
	})
	err = front.Wait()
	stopFollowing()
	if ferr := followers.Wait(); ferr != nil && !errors.Is(ferr, context.Canceled) {
		err = errors.Join(err, ferr)
	}
	return err
}

// announce prints where the chat is when it is ready.
func announce(ctx context.Context, cfg config, gateway *connector.Connector, ln net.Listener, p *parts, start time.Time) {
	for gateway.Ready(ctx) != nil {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
	where := "in memory only, gone when it stops"
	if !cfg.ephemeral {
		dir, err := filepath.Abs(cfg.data)
		if err != nil {
			dir = cfg.data
		}
		where = dir
	}
	address := ln.Addr().(*net.TCPAddr).AddrPort()
	fmt.Printf("Knatter is ready after %s.\n\n  chat     %s\n", time.Since(start).Round(time.Millisecond), own(address))
	if addresses, err := net.InterfaceAddrs(); err == nil {
		for _, u := range others(address, addresses) {
			fmt.Printf("           %s (for others on the network)\n", u)
		}
	}
	fmt.Printf("  data     %s\n  log      %s (Kafka protocol)\n", where, strings.Join(p.kafka.Brokers, ","))
	if p.broker != nil {
		fmt.Print(access(cfg, p.broker.Secret()))
	}
	if cfg.admin != "" && cfg.admin != "none" {
		fmt.Printf("  metrics  http://%s/metrics\n", cfg.admin)
	}
	fmt.Print("\nCtrl-C stops it.\n")
}

// access describes how other programs reach the embedded log.
func access(cfg config, secret string) string {
	free := "reading is free"
	if cfg.private {
		free = "private"
	}
	password := "--verbose shows the password"
	switch {
	case cfg.verbose:
		password = "password " + secret
	case !cfg.ephemeral:
		password = "password in " + filepath.Join(cfg.data, embedded.SecretFile)
	}
	return fmt.Sprintf("           %s; SASL user %s, %s\n", free, embedded.User, password)
}

// parts are the dependencies of the connector and the functions.
type parts struct {
	kafka       kafka.Config
	broker      *embedded.Broker // nil if the log is not embedded
	log         *kafka.Log
	deliverer   *kafka.Log // a producer of its own, so that deliveries never wait for a sync
	stores      *open.Stores
	verifier    *auth.Verifier
	requests    map[string]http.RoundTripper
	dispatchers map[string]*dispatch.Dispatcher // by function
}

func (p *parts) close() error {
	for _, log := range []*kafka.Log{p.deliverer, p.log} {
		if log != nil {
			log.Close()
		}
	}
	var err error
	if p.broker != nil {
		err = p.broker.Close()
	}
	if p.stores != nil {
		err = errors.Join(err, p.stores.Close())
	}
	return err
}

// check checks that what is acknowledged will be kept. Errors: Unavailable.
func (p *parts) check(ctx context.Context) error {
	if p.broker != nil {
		if err := p.broker.Err(); err != nil {
			return err
		}
	}
	return p.stores.Check(ctx)
}

func openParts(ctx context.Context, cfg config) (p *parts, err error) {
	p = new(parts)
	defer func(opened *parts) { // returning an error sets p to nil
		if err != nil {
			err = errors.Join(err, opened.close())
		}
	}(p)
	if !cfg.ephemeral {
		if err := os.MkdirAll(cfg.data, 0o700); err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
	}
	if err := checkStore(cfg); err != nil {
		return nil, err
	}
	if p.stores, err = open.Store(ctx, storeURL(cfg)); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := p.openLog(ctx, cfg); err != nil {
		return nil, err
	}
	if err := p.reindex(ctx, cfg.reindex); err != nil {
		return nil, err
	}
	signer, err := signingKey(cfg)
	if err != nil {
		return nil, err
	}
	callers, err := callersOf(cfg)
	if err != nil {
		return nil, err
	}
	p.wire(cfg, signer, callers)
	return p, nil
}

// openLog starts the log if it is embedded, and connects to it.
func (p *parts) openLog(ctx context.Context, cfg config) (err error) {
	if p.kafka, p.broker, err = startLog(cfg); err != nil {
		return err
	}
	if err := kafka.EnsureTopics(ctx, p.kafka); err != nil {
		return fmt.Errorf("topics: %w", err)
	}
	if p.broker != nil {
		if err := p.broker.Settle(); err != nil {
			return err
		}
		p.kafka.Acked = p.broker.Acked
	}
	if p.kafka, err = kafka.Reconcile(ctx, p.kafka, p.stores.Progress, p.stores.Events, chat.EventFunctions...); err != nil {
		return fmt.Errorf("log and store: %w", err)
	}
	if p.log, err = open.Log(ctx, p.kafka); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if p.deliverer, err = open.Log(ctx, p.kafka); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}

func storeURL(cfg config) string {
	switch {
	case cfg.store != "":
		return cfg.store
	case cfg.ephemeral:
		return "memory:"
	}
	return "pebble:" + filepath.Join(cfg.data, "store")
}

func signingKey(cfg config) (*auth.Signer, error) {
	if cfg.ephemeral {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, fmt.Errorf("signing key: %w", err)
		}
		return auth.NewSigner(key), nil
	}
	signer, err := auth.LoadOrCreateKey(filepath.Join(cfg.data, "key.pem"))
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return signer, nil
}

// reindex rebuilds the index if another version of the analysis made it, or if always
// is true: from what the event store holds, which includes what the log has dropped
// since, and from the log when the index function follows it again from its start.
func (p *parts) reindex(ctx context.Context, always bool) error {
	if always {
		if err := p.stores.Index.Wipe(ctx); err != nil {
			return fmt.Errorf("emptying the index: %w", err)
		}
		if err := p.stores.Events.Scan(ctx, func(messages []chat.Event) error {
			// One that a version before this one let in must not end the start.
			messages = slices.DeleteFunc(messages, func(e chat.Event) bool { return chat.CheckLogged(&e) != nil })
			return index.New(function.Deps{Stores: p.stores.Stores}).HandleEvents(ctx, messages)
		}); err != nil {
			return fmt.Errorf("rebuilding the index: %w", err)
		}
	} else if refreshed, err := index.Refresh(ctx, p.stores.Index, p.stores.Events); err != nil || !refreshed {
		return err
	}
	_, err := kafka.Rewind(ctx, p.kafka, chat.Index.Group, kafka.Mark{})
	return err
}

// callersOf returns the secret that functions in other processes may demand of us.
// Functions in this process demand none.
func callersOf(cfg config) (*auth.Callers, error) {
	if len(cfg.functions) == 0 {
		return nil, nil
	}
	return open.Callers(environment())
}

// wire creates the functions, each in this process or elsewhere, and the dispatchers
// for those that follow the log.
func (p *parts) wire(cfg config, signer *auth.Signer, callers *auth.Callers) {
	p.requests = make(map[string]http.RoundTripper)
	p.dispatchers = make(map[string]*dispatch.Dispatcher)
	p.verifier = auth.NewVerifier(auth.JWKS("http://accounts/.well-known/jwks.json", late{p.requests, "accounts"}), p.stores.Sessions)
	deps := function.Deps{
		Stores:    p.stores.Stores,
		Log:       p.log,
		Deliverer: p.deliverer,
		Verifier:  p.verifier,
		Signer:    signer,
		Config:    cfg.set,
	}
	targets := make(map[string]chat.Handler)
	for _, f := range functions.All {
		switch u := cfg.functions[f.Name]; {
		case f.Requests != nil && u != nil:
			p.requests[f.Name] = serve.Remote{Base: u, Callers: callers}
		case f.Requests != nil:
			p.requests[f.Name] = serve.Local{Handler: f.Requests(deps)}
		case u != nil:
			targets[f.Name] = dispatch.HTTP(u.String(), callers)
		default:
			targets[f.Name] = f.Events(deps)
		}
	}
	for _, fn := range chat.Followers {
		p.dispatchers[fn.Name] = dispatch.New(p.kafka, fn, targets[fn.Function()], dispatch.Options{Concurrency: batches, Logger: slog.Default(), StopTimeout: stopTimeout})
	}
}

// late looks a function up when it is called. accounts, whose keys verify tokens, is
// created together with those that verify them.
type late struct {
	functions map[string]http.RoundTripper
	name      string
}

func (l late) RoundTrip(r *http.Request) (*http.Response, error) {
	return l.functions[l.name].RoundTrip(r)
}
