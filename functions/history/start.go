package history

import (
	"context"

	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/open"
)

// Start opens what the function needs: the stores (KNATTER_STORE), the log
// (KNATTER_BROKERS) and, when they are asked for, the public
// keys (KNATTER_JWKS, a URL).
// Its callers are known by KNATTER_CALLER_SECRET, see [open.Callers].
func (f *Function) Start(ctx context.Context, env map[string]string) error {
	callers, err := open.Callers(env)
	if err != nil {
		return err
	}
	f.Demand(callers)
	keys, err := open.Keys(env)
	if err != nil {
		return err
	}
	stores, log, stop, err := open.StoreAndLog(ctx, env)
	if err != nil {
		return err
	}
	f.Need(stores.Check)
	f.Watch(func(ctx context.Context) error { return log.Watch(ctx, stores.Progress) })
	f.elsewhere = true
	f.use(stores.Events, stores.Rooms, log, auth.NewVerifier(keys, stores.Sessions), stop)
	return nil
}
