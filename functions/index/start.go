package index

import (
	"context"

	"knatter.dev/chat/internal/open"
)

// Start opens what the function needs: the index (KNATTER_STORE) of events in the
// log's generation (KNATTER_GENERATION).
func (f *Function) Start(ctx context.Context, env map[string]string) error {
	generation, err := open.Generation(env)
	if err != nil {
		return err
	}
	stores, err := open.StoreOf(ctx, env)
	if err != nil {
		return err
	}
	f.use(stores.Index, generation, stores.Close)
	return nil
}
