package serve

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
)

// Function is what all functions have in common, in the shape that func-go's HTTP
// middleware expects of an instance; they embed it. The zero value answers every
// request by 503 until Use.
type Function struct {
	handler http.Handler
	callers *auth.Callers
	close   func() error
	ready   atomic.Bool // the fields above are set

	needs []func(context.Context) error
	mu    sync.Mutex // guards what was found of them
	asked time.Time
	err   error

	watching sync.WaitGroup
	unwatch  context.CancelFunc // nil if nothing is watched
	over     atomic.Pointer[error]
}

// needsHold is how long an answer to whether what a function needs is there stands
// for the next ones.
const needsHold = time.Second

// Need makes the function ready only while all of the checks, of stores and logs, are
// nil; it is called before Use.
func (f *Function) Need(checks ...func(context.Context) error) { f.needs = checks }

// Watch runs look until Stop; it is called before Use. Once look returns an error the
// function is no longer alive: it has to be started anew.
func (f *Function) Watch(look func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	f.unwatch = cancel
	f.watching.Go(func() {
		if err := look(ctx); err != nil {
			slog.Error("the function has to be started anew", slog.Any("error", err))
			f.over.Store(&err)
		}
	})
}

// Demand makes the function answer only callers that show a secret, all others by
// 401; it is called before Use. With nil whoever reaches the function is believed,
// which is said.
func (f *Function) Demand(callers *auth.Callers) {
	if callers == nil {
		slog.Warn("whoever reaches this function may call it: KNATTER_CALLER_SECRET is not set")
	}
	f.callers = callers
}

// Use makes the function answer by handler from now on. stop closes what the
// function opened for itself, and is nil when that was nothing.
func (f *Function) Use(handler http.Handler, stop func() error) {
	f.handler, f.close = handler, stop
	f.ready.Store(true)
}

// Started tells whether Use was called, and Stop was not.
func (f *Function) Started() bool { return f.ready.Load() }

// Handle answers one request.
func (f *Function) Handle(w http.ResponseWriter, r *http.Request) {
	if !f.Started() {
		Fail(w, r, chat.Errorf(chat.Unavailable, "not started yet"))
		return
	}
	if f.callers != nil && r.URL.Path != publicKeys {
		if !f.callers.Admits(r) {
			auth.Challenge(w.Header())
			Fail(w, r, chat.Errorf(chat.Unauthenticated, "the header %s with the secret of this function's callers is needed", auth.CallerHeader))
			return
		}
		r = believe(r)
	}
	// func-go's server, like net/http's, would log what a handler panicked with.
	Guarded("the function", f.handler).ServeHTTP(w, r)
}

// publicKeys are for everybody.
const publicKeys = "/.well-known/jwks.json"

// Stop closes what the function opened, once no request is being answered any
// more.
func (f *Function) Stop(context.Context) error {
	if f.unwatch != nil {
		f.unwatch()
		f.watching.Wait()
	}
	if !f.ready.Swap(false) || f.close == nil {
		return nil
	}
	return f.close()
}

// Ready tells whether requests can be answered, as of a moment ago.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	if !f.Started() {
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

// Alive tells whether the process should go on.
func (f *Function) Alive(context.Context) (bool, error) {
	if err := f.over.Load(); err != nil {
		return false, *err
	}
	return true, nil
}
