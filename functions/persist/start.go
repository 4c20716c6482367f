package persist

import (
	"context"

	"knatter.dev/chat/internal/open"
)

// Start opens what the function needs: the stores (KNATTER_STORE) of events in
// the log's generation (KNATTER_GENERATION).
func (f *Function) Start(ctx context.Context, env map[string]string) error {
	generation, err := open.Generation(env)
	if err != nil {
		return err
	}
	stores, err := open.Store(ctx, env["KNATTER_STORE"])
	if err != nil {
		return err
	}
	f.stores = stores
	f.use(stores.Events, stores.Rooms, generation)
	return nil
}

// Stop closes what Start opened, once no event is being handled any more.
func (f *Function) Stop(context.Context) error {
	if !f.ready.Swap(false) || f.stores == nil {
		return nil
	}
	return f.stores.Close()
}

// Ready tells whether events can be stored.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	if !f.ready.Load() {
		return false, nil
	}
	if f.stores == nil {
		return true, nil
	}
	err := f.stores.Check(ctx)
	return err == nil, err
}

// Alive tells whether the process should go on.
func (f *Function) Alive(context.Context) (bool, error) { return true, nil }
