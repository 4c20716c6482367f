package index

import (
	"context"
	"sync"

	"knatter.dev/chat/internal/open"
)

// Start opens what the function needs: the index (KNATTER_STORE).
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
	refreshing, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { keepFresh(refreshing, stores.Index, stores.Events) })
	f.use(stores.Index, stores.Progress.Lineage, func() error {
		stop()
		done.Wait()
		return stores.Close()
	})
	return nil
}
