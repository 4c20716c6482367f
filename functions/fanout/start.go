package fanout

import (
	"context"
	"errors"

	"knatter.dev/chat/internal/open"
)

// Start opens what the function needs: the route store (KNATTER_STORE) and the
// log (KNATTER_BROKERS, KNATTER_GENERATION).
func (f *Function) Start(ctx context.Context, env map[string]string) error {
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
	f.use(stores.Routes, log, config.Generation)
	return nil
}

// Stop closes what Start opened, once no event is being handled any more.
func (f *Function) Stop(context.Context) error {
	if !f.ready.Swap(false) || f.close == nil {
		return nil
	}
	return f.close()
}

// Ready tells whether events can be handled.
func (f *Function) Ready(context.Context) (bool, error) { return f.ready.Load(), nil }

// Alive tells whether the process should go on.
func (f *Function) Alive(context.Context) (bool, error) { return true, nil }
