package accounts

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/open"
)

// Start opens what the function needs: the stores (KNATTER_STORE), the log
// (KNATTER_BROKERS, KNATTER_GENERATION) and the signing key (KNATTER_KEYS, a PEM
// document or the path of one). The key is not made up when there is none, since
// every replica would make up its own.
func (f *Function) Start(ctx context.Context, env map[string]string) error {
	signer, err := signerFrom(env["KNATTER_KEYS"])
	if err != nil {
		return fmt.Errorf("KNATTER_KEYS: %w", err)
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
	f.use(stores.Accounts, stores.Sessions, stores.Attempts, stores.Rooms, log, signer,
		auth.NewVerifier(signer.Keys, stores.Sessions))
	return nil
}

func signerFrom(key string) (*auth.Signer, error) {
	if strings.HasPrefix(strings.TrimSpace(key), "-----BEGIN") {
		return auth.ParseKey([]byte(key))
	}
	return auth.LoadKey(key)
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
