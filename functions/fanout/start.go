package fanout

import (
	"context"

	"knatter.dev/chat/internal/open"
)

// Start opens what the function needs: the stores of routes and events
// (KNATTER_STORE) and the log (KNATTER_BROKERS). Its callers
// are known by KNATTER_CALLER_SECRET, see [open.Callers].
func (f *Function) Start(ctx context.Context, env map[string]string) error {
	callers, err := open.Callers(env)
	if err != nil {
		return err
	}
	f.Demand(callers)
	stores, log, stop, err := open.StoreAndLog(ctx, env)
	if err != nil {
		return err
	}
	f.Need(stores.Check)
	f.Watch(func(ctx context.Context) error { return log.Watch(ctx, stores.Progress) })
	f.use(stores.Routes, stores.Events, log, stores.Progress.Lineage, stop)
	return nil
}
