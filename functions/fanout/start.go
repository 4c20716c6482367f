package fanout

import (
	"context"

	"knatter.dev/chat/internal/open"
)

// Start opens what the function needs: the route store (KNATTER_STORE) and the
// log (KNATTER_BROKERS, KNATTER_GENERATION).
func (f *Function) Start(ctx context.Context, env map[string]string) error {
	generation, err := open.Generation(env)
	if err != nil {
		return err
	}
	stores, log, stop, err := open.StoreAndLog(ctx, env)
	if err != nil {
		return err
	}
	f.use(stores.Routes, log, generation, stop)
	return nil
}
