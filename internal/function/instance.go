package function

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/setting"
)

// Instance is a function that is deployed alone, in the shape that func-go's HTTP
// middleware expects. It answers every request by 503 until it has started.
type Instance struct {
	spec Spec

	handler http.Handler
	needs   []func(context.Context) error
	close   func() error
	ready   atomic.Bool // the fields above are set

	mu    sync.Mutex // guards what was found of the needs
	asked time.Time
	err   error

	running sync.WaitGroup // of what is done beside requests
	end     context.CancelFunc
	over    atomic.Pointer[error]
}

// Instance returns an instance of the function, which has yet to be started.
func (s Spec) Instance() *Instance { return &Instance{spec: s} }

// settings are those of the function's configuration, bound to c.
func (s Spec) settings(c *Config) []setting.Setting {
	if s.Settings == nil {
		return nil
	}
	return s.Settings(c)
}

// Start opens what the function needs, as the environment says:
//
//	KNATTER_STORE            the stores, see [open.Store]
//	KNATTER_BROKERS          the log, see [open.LogConfig]
//	KNATTER_JWKS             the URL of the public keys, fetched when they are asked for
//	KNATTER_KEYS             the signing key, see [open.Signer]
//	KNATTER_CALLER_SECRET    by which callers are known, see [open.Callers]
//
// Errors: Invalid; those of opening.
func (f *Instance) Start(ctx context.Context, env map[string]string) error {
	callers, err := open.Callers(env)
	if err != nil {
		return err
	}
	config := DefaultConfig()
	if err := setting.Read(env, f.spec.settings(&config)...); err != nil {
		return err
	}
	p, err := openParts(ctx, env, f.spec.Needs)
	if err != nil {
		return err
	}
	p.Config = config
	if callers == nil {
		slog.Warn("whoever reaches this function may call it: KNATTER_CALLER_SECRET is not set")
	}
	f.handler = serve.Demand(callers, f.spec.handler(p.Deps))
	f.needs, f.close = p.checks, p.close
	var background context.Context
	background, f.end = context.WithCancel(context.Background())
	if p.watch != nil {
		f.running.Go(func() { f.watch(background, p.watch) })
	}
	if f.spec.Background != nil {
		f.running.Go(func() { f.spec.Background(background, p.Deps) })
	}
	f.ready.Store(true)
	return nil
}

// watch runs look. Once it returns an error the instance is no longer alive.
func (f *Instance) watch(ctx context.Context, look func(context.Context) error) {
	if err := look(ctx); err != nil {
		slog.Error("the function has to be started anew", slog.Any("error", err))
		f.over.Store(&err)
	}
}

// Handle answers one request.
func (f *Instance) Handle(w http.ResponseWriter, r *http.Request) {
	if !f.ready.Load() {
		serve.Fail(w, r, chat.Errorf(chat.Unavailable, "not started yet"))
		return
	}
	f.handler.ServeHTTP(w, r)
}

// Stop closes what the instance opened, once no request is being answered any more.
func (f *Instance) Stop(context.Context) error {
	if !f.ready.Swap(false) {
		return nil
	}
	f.end()
	f.running.Wait()
	return f.close()
}

// needsHold is how long an answer to whether what a function needs is there stands
// for the next ones.
const needsHold = time.Second

// Ready reports whether requests can be answered, as of a moment ago.
func (f *Instance) Ready(ctx context.Context) (bool, error) {
	if !f.ready.Load() {
		return false, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked.IsZero() || time.Since(f.asked) >= needsHold {
		f.err = nil
		for _, check := range f.needs {
			if f.err = check(context.WithoutCancel(ctx)); f.err != nil {
				break
			}
		}
		f.asked = time.Now()
	}
	return f.err == nil, f.err
}

// Alive reports whether the process should go on: an instance that is not alive has to
// be started anew.
func (f *Instance) Alive(context.Context) (bool, error) {
	if err := f.over.Load(); err != nil {
		return false, *err
	}
	return true, nil
}
