package search

import (
	"context"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/analysis"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/open"
)

// Start opens what the function needs: the stores (KNATTER_STORE) and, when they
// are asked for, the public keys (KNATTER_JWKS, a URL).
func (f *Function) Start(ctx context.Context, env map[string]string) error {
	jwks := env["KNATTER_JWKS"]
	if jwks == "" {
		return chat.Errorf(chat.Invalid, "KNATTER_JWKS must be the URL of the accounts function's public keys")
	}
	stores, err := open.Store(ctx, env["KNATTER_STORE"])
	if err != nil {
		return err
	}
	f.close = stores.Close
	f.use(stores.Index, stores.Events, stores.Rooms, auth.NewVerifier(auth.JWKS(jwks, nil), stores.Sessions))
	return nil
}

// Stop closes what Start opened, once no request is being answered any more.
func (f *Function) Stop(context.Context) error {
	if !f.ready.Swap(false) || f.close == nil {
		return nil
	}
	return f.close()
}

// Ready tells whether searches are answered without waiting for the dictionary.
func (f *Function) Ready(context.Context) (bool, error) {
	return f.ready.Load() && analysis.Ready(), nil
}

// Alive tells whether the process should go on.
func (f *Function) Alive(context.Context) (bool, error) { return true, nil }
