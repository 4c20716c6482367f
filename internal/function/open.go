package function

import (
	"context"

	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/open"
)

// parts are the dependencies of an instance, and what comes with them.
type parts struct {
	Deps
	checks []func(context.Context) error // nil errors while all is there
	watch  func(context.Context) error   // see [kafka.Log.Watch]; nil without a log
	close  func() error
}

// openParts opens what is needed. Keys are looked at first, as that costs nothing.
func openParts(ctx context.Context, env map[string]string, needs Needs) (p parts, err error) {
	var keys auth.KeySource
	if needs.Verifier {
		if keys, err = open.Keys(env); err != nil {
			return p, err
		}
	}
	if needs.Signer {
		if p.Signer, err = open.Signer(env); err != nil {
			return p, err
		}
	}
	if err := p.openStores(ctx, env, needs); err != nil {
		return p, err
	}
	p.Elsewhere = true
	if needs.Verifier {
		p.Verifier = auth.NewVerifier(keys, p.Sessions)
	}
	return p, nil
}

// openStores opens the stores, and the log if it is needed.
func (p *parts) openStores(ctx context.Context, env map[string]string, needs Needs) error {
	if !needs.Log {
		stores, err := open.StoreOf(ctx, env)
		if err != nil {
			return err
		}
		p.Stores, p.close = stores.Stores, stores.Close
		p.checks = append(p.checks, stores.Check)
		return nil
	}
	stores, log, stop, err := open.StoreAndLog(ctx, env)
	if err != nil {
		return err
	}
	p.Stores, p.Log, p.Deliverer, p.close = stores.Stores, log, log, stop
	p.checks = append(p.checks, stores.Check)
	if needs.Appends {
		p.checks = append(p.checks, log.Ready)
	}
	p.watch = func(ctx context.Context) error { return log.Watch(ctx, stores.Progress) }
	return nil
}
