// Command dispatcher follows the log for the event functions, as Knative's
// KafkaSources do, for places without Knative Eventing.
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
)

var (
	concurrency = program.Setting{
		Name: "concurrency", Value: "number", Default: "64", Check: program.Number(1, 4096),
		Usage: "Maximum number of concurrent requests to a function; to fanout one for each partition",
	}
	tryTimeout = program.Setting{
		Name: "try-timeout", Value: "time", Default: "30s", Check: program.Duration(time.Second, time.Hour),
		Usage: "Maximum time for a function to answer",
	}
	maxTries = program.Setting{
		Name: "max-tries", Value: "number", Default: "0", Check: program.Number(0, 1_000_000),
		Usage: "Maximum number of tries, after which a failing event goes to the dead letters; 0 means no maximum: the dispatcher waits for the function",
	}
)

func main() {
	program.Program{
		Name: "dispatcher",
		Summary: `Follows the log for each event function whose URL is given, and sends it the events: at least once, in order where the
function needs that, and again until the function is done. What a function refuses goes to the dead letters. Any
number of dispatchers share the work. The first that starts goes back in the log to where the stores are, which it
only reads.`,
		Settings: settings(),
		Run:      run,
	}.Main()
}

func settings() []program.Setting {
	return slices.Concat(
		program.EventFunctionURLs(), program.Callers, program.Log,
		[]program.Setting{program.Partitions, program.Store, program.AdminAddress, concurrency, tryTimeout, maxTries},
	)
}

// run follows the log until ctx ends; then what functions are at is finished and
// committed.
func run(ctx context.Context, c program.Call) (err error) {
	var functions []chat.EventFunction
	var variables []string
	for _, f := range chat.Followers {
		variable := program.FunctionURL(f.Function(), false).Env()
		if variables = append(variables, variable); c.Env[variable] != "" {
			functions = append(functions, f)
		}
	}
	if len(functions) == 0 {
		return chat.Errorf(chat.Invalid, "at least one of %s must be set", strings.Join(slices.Compact(variables), ", "))
	}
	callers, err := open.Callers(c.Env)
	if err != nil {
		return err
	}
	kc, err := open.LogConfig(c.Env)
	if err != nil {
		return err
	}
	stores, err := open.StoreOf(ctx, c.Env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stores.Close()) }()
	if kc, err = reconcile(ctx, kc, stores, functions); err != nil {
		return err
	}
	// Followers wait for brokers and topics, whatever is wrong with them; here it is
	// said.
	log, err := open.Log(ctx, kc)
	if err != nil {
		return err
	}
	defer log.Close()

	var dispatchers []*dispatch.Dispatcher
	var metrics []prometheus.Collector
	for _, f := range functions {
		url := c.Env[program.FunctionURL(f.Function(), false).Env()]
		d := dispatch.New(kc, f, dispatch.HTTP(url, callers), dispatch.Options{
			Concurrency: program.Int(c.Env, concurrency),
			TryTimeout:  program.Time(c.Env, tryTimeout),
			MaxTries:    program.Int(c.Env, maxTries),
		})
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
	admin, err := program.ListenAdmin(c.Env[program.AdminAddress.Env()], ready, metrics...)
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
					err = errors.New("it stopped following the log")
				}
				return err
			})
		}
		return group.Wait()
	})
}

// reconcile takes the functions' groups back to where their stores are. Other
// dispatchers that are there already have done so; then it is too late to do it again.
func reconcile(ctx context.Context, kc kafka.Config, stores *open.Stores, functions []chat.EventFunction) (kafka.Config, error) {
	kc, err := kafka.Reconcile(ctx, kc, stores.Progress, stores.Events, functions...)
	if chat.KindOf(err) == chat.Conflict {
		slog.Error("a store seems to be behind what other dispatchers have handled: stop them all, then start them again", slog.Any("error", err))
		err = nil
	}
	return kc, err
}
