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
	newConfig().program().Main()
}

func (c *config) program() program.Program {
	return program.Program{
		Name:     "connector",
		Summary:  "Holds the sockets, serves the web client, and passes HTTP requests on to the functions.",
		Settings: c.settings(),
		Run:      c.run,
	}
}

// connections are how many a function may have from us; requests over that wait.
const connections = 256

// run serves until ctx ends, then drains: clients are told to go elsewhere, and what
// they sent is acknowledged first.
func (c *config) run(ctx context.Context, call program.Call) (err error) {
	if err := c.place(); err != nil {
		return err
	}
	callers, err := open.Callers(call.Env)
	if err != nil {
		return err
	}
	keys, err := open.Keys(call.Env)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", c.listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s (another address: --listen): %w", c.listen, err)
	}
	defer func() { _ = ln.Close() }()

	kc, err := open.LogConfig(call.Env)
	if err != nil {
		return err
	}
	stores, log, stop, err := open.StoreAndLog(ctx, call.Env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := checkOrdinal(ctx, log, c.connector.Ordinal); err != nil {
		return err
	}
	gateway, err := connector.New(c.connector, connector.Parts{
		Log:       log,
		Signals:   log,
		Deliverer: log,
		Follow: func(ctx context.Context, ready func(), handle func([]chat.Delivery)) error {
			return kafka.FollowDeliveries(ctx, kc, c.connector.Ordinal, ready, handle)
		},
		Rooms:     stores.Rooms,
		Store:     stores.Check,
		Accounts:  stores.Accounts,
		Verifier:  auth.NewVerifier(keys, stores.Sessions),
		Functions: c.functionsOf(callers),
		Web:       []fs.FS{web.Files, api.Files},
	})
	if err != nil {
		return err
	}
	admin, err := program.ListenAdmin(c.admin, gateway.Ready, gateway.Collectors()...)
	if err != nil {
		return err
	}
	slog.Info("started", slog.String("address", ln.Addr().String()), slog.Int("ordinal", c.connector.Ordinal))
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
func (c *config) functionsOf(callers *auth.Callers) map[string]http.RoundTripper {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost, transport.MaxIdleConns = connections, connections, 0
	transport.DisableCompression = true // bodies are passed on as they are
	functions := make(map[string]http.RoundTripper)
	for name, address := range c.functions {
		base, _ := url.Parse(*address) // it was checked
		functions[name] = serve.Remote{Base: base, Transport: transport, Callers: callers}
	}
	return functions
}
