// Command dispatcher follows the log for the event functions, as KafkaSources of
// Knative do, where there is no Knative Eventing.
package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/program"
	"knatter.dev/chat/internal/setting"
)

// config holds the settings.
type config struct {
	functions map[string]string // URLs by name
	admin     string
	options   dispatch.Options
}

func newConfig() *config {
	return &config{
		functions: make(map[string]string), admin: ":8081",
		options: dispatch.Options{Concurrency: 64, TryTimeout: 30 * time.Second},
	}
}

func main() { newConfig().program().Main() }

func (c *config) program() program.Program {
	return program.Program{
		Name: "dispatcher",
		Summary: `Follows the log for each event function whose URL is given, and sends it the events: at least once, in order where the
function needs that, and again until the function is done. What a function refuses goes to the dead letters. Any
number of dispatchers share the work. The first that starts goes back in the log to where the stores are, which it
only reads.`,
		Settings: c.settings(),
		Run:      c.run,
	}
}

func (c *config) settings() []setting.Setting {
	return slices.Concat(
		open.EventFunctionURLs(c.functions), open.CallerSettings(), open.StoreAndLogSettings(),
		[]setting.Setting{
			program.AdminAddress(&c.admin),
			setting.Number(&c.options.Concurrency, "concurrency", 1, 4096, "Maximum number of concurrent requests to a function; to fanout one for each partition"),
			setting.Time(&c.options.TryTimeout, "try-timeout", time.Second, time.Hour, "Maximum time for a function to answer"),
			setting.Number(&c.options.MaxTries, "max-tries", 0, 1_000_000, "Maximum number of tries, after which a failing event goes to the dead letters; 0 means no maximum: the dispatcher waits for the function"),
		},
	)
}

// run follows the log until ctx ends. Then the calls in flight are finished and
// committed.
func (c *config) run(ctx context.Context, call program.Call) (err error) {
	var functions []chat.EventFunction
	var variables []string
	for _, f := range chat.Followers {
		variables = append(variables, open.FunctionURL(new(string), f.Function()).Env())
		if c.functions[f.Function()] != "" {
			functions = append(functions, f)
		}
	}
	if len(functions) == 0 {
		return chat.Errorf(chat.Invalid, "at least one of %s must be set", strings.Join(slices.Compact(variables), ", "))
	}
	callers, err := open.Callers(call.Env)
	if err != nil {
		return err
	}
	kc, err := open.LogConfig(call.Env)
	if err != nil {
		return err
	}
	stores, err := open.StoreOf(ctx, call.Env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stores.Close()) }()
	if kc, err = reconcile(ctx, kc, stores, functions); err != nil {
		return err
	}
	// Dispatchers wait for brokers and topics, whatever is wrong with them. Report that
	// here.
	log, err := open.Log(ctx, kc)
	if err != nil {
		return err
	}
	defer log.Close()

	var dispatchers []*dispatch.Dispatcher
	var metrics []prometheus.Collector
	for _, f := range functions {
		url := c.functions[f.Function()]
		d := dispatch.New(kc, f, dispatch.HTTP(url, callers), c.options)
		dispatchers = append(dispatchers, d)
		metrics = append(metrics, d.Collectors()...)
		slog.Info("following the log", slog.String("function", f.Name), slog.String("url", url))
	}
	ready := func(context.Context) error {
		for _, d := range dispatchers {
			if !d.Ready() {
				return chat.Errorf(chat.Unavailable, "not a member of its group yet")
			}
		}
		return nil
	}
	admin, err := program.ListenAdmin(c.admin, ready, metrics...)
	if err != nil {
		return err
	}
	return admin.Beside(ctx, func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return log.Watch(ctx, stores.Progress) })
		for _, d := range dispatchers {
			group.Go(func() error {
				err := d.Run(ctx)
				if err == nil && ctx.Err() == nil {
					err = errors.New("a dispatcher stopped following the log")
				}
				return err
			})
		}
		return group.Wait()
	})
}

// reconcile rewinds the groups of functions to where their stores are. If other
// dispatchers are running, they have done so, and now it is too late.
func reconcile(ctx context.Context, kc kafka.Config, stores *open.Stores, functions []chat.EventFunction) (kafka.Config, error) {
	kc, err := kafka.Reconcile(ctx, kc, stores.Progress, stores.Events, functions...)
	if chat.KindOf(err) == chat.Conflict {
		slog.Error("a store seems to be behind what other dispatchers have handled: stop all dispatchers, then start them again", slog.Any("error", err))
		err = nil
	}
	return kc, err
}
