// Command connector is the gateway: it holds the sockets, serves the web client and
// passes requests on to the functions, each of which runs elsewhere.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"

	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
	"knatter.dev/chat/connector/api"
	"knatter.dev/chat/connector/web"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/program"
	"knatter.dev/chat/internal/serve"
)

func main() {
	program.Program{
		Name:     "connector",
		Summary:  "Holds the sockets, serves the web client, and passes HTTP requests on to the functions.",
		Settings: settings(),
		Run:      run,
	}.Main()
}

// connections are how many a function may have from us; requests over that wait.
const connections = 256

// run serves until ctx ends, then drains: clients are told to go elsewhere, and what
// they sent is acknowledged first.
func run(ctx context.Context, c program.Call) (err error) {
	cfg, err := configOf(c.Env, os.Hostname)
	if err != nil {
		return err
	}
	callers, err := open.Callers(c.Env)
	if err != nil {
		return err
	}
	address := c.Env[listen.Env()]
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen on %s (another address: --listen): %w", address, err)
	}
	defer func() { _ = ln.Close() }()

	kc, err := open.LogConfig(c.Env)
	if err != nil {
		return err
	}
	stores, log, stop, err := open.StoreAndLog(ctx, c.Env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := checkOrdinal(ctx, log, cfg.Ordinal); err != nil {
		return err
	}
	gateway, err := connector.New(cfg, connector.Parts{
		Log:       log,
		Signals:   log,
		Deliverer: log,
		Follow: func(ctx context.Context, ready func(), handle func([]chat.Delivery)) error {
			return kafka.FollowDeliveries(ctx, kc, cfg.Ordinal, ready, handle)
		},
		Rooms:     stores.Rooms,
		Store:     stores.Check,
		Accounts:  stores.Accounts,
		Verifier:  auth.NewVerifier(auth.JWKS(c.Env[program.JWKS.Env()], nil), stores.Sessions),
		Functions: functionsOf(c.Env, callers),
		Web:       []fs.FS{web.Files, api.Files},
	})
	if err != nil {
		return err
	}
	admin, err := program.ListenAdmin(c.Env[program.AdminAddress.Env()], gateway.Ready, gateway.Collectors()...)
	if err != nil {
		return err
	}
	slog.Info("started", slog.String("address", ln.Addr().String()), slog.Int("ordinal", cfg.Ordinal))
	return admin.Beside(ctx, func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return gateway.Serve(ctx, ln) })
		group.Go(func() error { return log.Watch(ctx, stores.Progress) })
		return group.Wait()
	})
}

// checkOrdinal refuses an ordinal without a partition of chat.deliveries: nothing
// could ever be delivered to its sockets. Errors: Invalid, Unavailable.
func checkOrdinal(ctx context.Context, log *kafka.Log, ordinal int) error {
	partitions, err := log.Connectors(ctx)
	if err != nil {
		return err
	}
	if ordinal >= partitions {
		return chat.Errorf(chat.Invalid, "KNATTER_ORDINAL is %d, but %s has %d partitions, which are for the ordinals below that: raise KNATTER_DELIVERY_PARTITIONS and run \"admin topics\"",
			ordinal, chat.TopicDeliveries, partitions)
	}
	return nil
}

// functionsOf are the functions at their URLs, which know us by our secret.
func functionsOf(env program.Env, callers *auth.Callers) map[string]http.RoundTripper {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost, transport.MaxIdleConns = connections, connections, 0
	transport.DisableCompression = true // bodies are passed on as they are
	functions := make(map[string]http.RoundTripper)
	for _, name := range chat.RequestFunctions {
		base, _ := url.Parse(env[program.FunctionURL(name, true).Env()]) // it was checked
		functions[name] = serve.Remote{Base: base, Transport: transport, Callers: callers}
	}
	return functions
}
