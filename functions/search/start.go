package search

import (
	"context"

	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/open"
)

// Start opens what the function needs: the stores (KNATTER_STORE) and, when they
// are asked for, the public keys (KNATTER_JWKS, a URL).
func (f *Function) Start(ctx context.Context, env map[string]string) error {
	keys, err := open.Keys(env)
	if err != nil {
		return err
	}
	stores, err := open.StoreOf(ctx, env)
	if err != nil {
		return err
	}
	f.use(stores.Index, stores.Events, stores.Rooms, auth.NewVerifier(keys, stores.Sessions), stores.Close)
	return nil
}
