package accounts

import (
	"context"
	"fmt"
	"strings"

	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/open"
)

// Start opens what the function needs: the stores (KNATTER_STORE), the log
// (KNATTER_BROKERS) and the signing key (KNATTER_KEYS, a PEM
// document or the path of one). The key is not made up when there is none, since
// every replica would make up its own.
// Its callers are known by KNATTER_CALLER_SECRET, see [open.Callers].
func (f *Function) Start(ctx context.Context, env map[string]string) error {
	callers, err := open.Callers(env)
	if err != nil {
		return err
	}
	f.Demand(callers)
	signer, err := signerFrom(env["KNATTER_KEYS"])
	if err != nil {
		return fmt.Errorf("KNATTER_KEYS: %w", err)
	}
	stores, log, stop, err := open.StoreAndLog(ctx, env)
	if err != nil {
		return err
	}
	f.Need(stores.Check, log.Ready)
	f.Watch(func(ctx context.Context) error { return log.Watch(ctx, stores.Progress) })
	f.use(stores.Accounts, stores.Sessions, stores.Attempts, stores.Rooms, log, signer,
		auth.NewVerifier(signer.Keys, stores.Sessions), stop)
	return nil
}

func signerFrom(key string) (*auth.Signer, error) {
	if strings.HasPrefix(strings.TrimSpace(key), "-----BEGIN") {
		return auth.ParseKey([]byte(key))
	}
	return auth.LoadKey(key)
}
