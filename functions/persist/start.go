package persist

import (
	"context"

	"knatter.dev/chat/internal/open"
)

// Start opens what the function needs: the stores (KNATTER_STORE).
// Its callers are known by KNATTER_CALLER_SECRET, see [open.Callers].
func (f *Function) Start(ctx context.Context, env map[string]string) error {
	callers, err := open.Callers(env)
	if err != nil {
		return err
	}
	f.Demand(callers)
	stores, err := open.StoreOf(ctx, env)
	if err != nil {
		return err
	}
	f.Need(stores.Check)
	f.use(stores.Events, stores.Rooms, stores.Progress.Lineage, stores.Close)
	return nil
}
