package history

import (
	"context"
	"errors"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/open"
)

// Start opens what the function needs: the stores (KNATTER_STORE), the log
// (KNATTER_BROKERS, KNATTER_GENERATION) and, when they are asked for, the public
// keys (KNATTER_JWKS, a URL).
func (f *Function) Start(ctx context.Context, env map[string]string) error {
	jwks := env["KNATTER_JWKS"]
	if jwks == "" {
		return chat.Errorf(chat.Invalid, "KNATTER_JWKS must be the URL of the accounts function's public keys")
	}
	config, err := open.LogConfig(env)
	if err != nil {
		return err
	}
	stores, err := open.Store(ctx, env["KNATTER_STORE"])
	if err != nil {
		return err
	}
	log, err := open.Log(ctx, config)
	if err != nil {
		return errors.Join(err, stores.Close())
	}
	f.close = func() error {
		log.Close()
		return stores.Close()
	}
	f.use(stores.Events, stores.Rooms, log, auth.NewVerifier(auth.JWKS(jwks, nil), stores.Sessions))
	return nil
}

// Stop closes what Start opened, once no request is being answered any more.
func (f *Function) Stop(context.Context) error {
	if !f.ready.Swap(false) || f.close == nil {
		return nil
	}
	return f.close()
}

// Ready tells whether requests can be answered.
func (f *Function) Ready(context.Context) (bool, error) { return f.ready.Load(), nil }

// Alive tells whether the process should go on.
func (f *Function) Alive(context.Context) (bool, error) { return true, nil }
