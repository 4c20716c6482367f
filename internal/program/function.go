package program

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/listen"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/setting"
)

// instance is what [function.Instance] is.
type instance interface {
	Start(ctx context.Context, env map[string]string) error
	Handle(w http.ResponseWriter, r *http.Request)
	Ready(ctx context.Context) (bool, error)
	Alive(ctx context.Context) (bool, error)
	Stop(ctx context.Context) error
}

// Bounds of a function's server.
const (
	maxHeader     = 1 << 20 // what a record of the log can hold, so that nothing is refused for good by 431
	maxConcurrent = 1024    // requests that are being answered
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = time.Minute     // longer than callers wait for an answer
	idleTimeout   = 2 * time.Minute // longer than clients keep a connection, so that it's they who close it
	healthTimeout = 5 * time.Second
	stopTimeout   = 20 * time.Second // for requests that are being answered
)

// Serve is the program that serves a function: its own paths, and for those who
// run it /health/liveness and /health/readiness.
func Serve(spec function.Spec) Program {
	return serving(spec.Name, spec.Summary, spec.Instance(), settingsOf(spec))
}

func serving(name, summary string, f instance, settings []setting.Setting) Program {
	var at place
	return Program{
		Name: name, Summary: summary, Settings: slices.Concat(at.settings(), open.CallerSettings(), settings),
		Run: func(ctx context.Context, c Call) error {
			return serveFunction(ctx, at.address(), c.Env, f)
		},
	}
}

// place is where a function is served. Knative says so by a port.
type place struct {
	listen string
	port   int
}

func (p *place) settings() []setting.Setting {
	p.port = 8080
	port := setting.Number(&p.port, "port", 0, 65535, "Serve on this port, as Knative sets it").Secret()
	port.Variable = "PORT"
	return []setting.Setting{
		setting.Text(&p.listen, "listen", "address", "Serve on this address; by default the port below on all addresses"),
		port,
	}
}

func (p *place) address() string { return cmp.Or(p.listen, ":"+strconv.Itoa(p.port)) }

// settingsOf are the settings by which a function gets what it needs.
func settingsOf(spec function.Spec) []setting.Setting {
	n := spec.Needs
	settings := []setting.Setting{open.StoreSetting().Require()}
	if n.Log {
		settings = open.StoreAndLogSettings()
	}
	if n.Verifier {
		settings = append(settings, open.KeySetting(new(string)))
	}
	if n.Signer {
		settings = append(settings, open.SignerSetting(new(string)))
	}
	if spec.Settings != nil {
		config := function.DefaultConfig()
		settings = append(settings, spec.Settings(&config)...)
	}
	return settings
}

// serveFunction listens before the function has started, so that whoever asks is
// told that it is about to.
func serveFunction(ctx context.Context, address string, env Env, f instance) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen on %s (KNATTER_LISTEN or --listen): %w", address, err)
	}
	limits := listen.Defaults()
	limits.PerAddress = 0 // all come from the connector, or through one proxy
	server := &http.Server{
		Handler:           handler(f),
		ConnState:         noteIdle,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(listen.New(ln, limits)); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		err := f.Start(ctx, env)
		if err == nil {
			slog.Info("started", slog.String("address", ln.Addr().String()))
			err = alive(ctx, f)
		}
		return errors.Join(err, stop(server))
	})
	err = group.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(err, f.Stop(closing))
}

// stop lets the requests finish that are being answered.
func stop(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests did not finish: %w", err), server.Close())
	}
	return nil
}

func handler(f instance) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/health/liveness", health("alive", f.Alive))
	mux.HandleFunc("/health/readiness", health("ready", f.Ready))
	mux.Handle("/", limited(http.MaxBytesHandler(http.HandlerFunc(f.Handle), serve.MaxBody)))
	return serve.Guarded("the function", mux)
}

func health(what string, ask func(context.Context) (bool, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
		defer cancel()
		ok, err := ask(ctx)
		if err == nil && !ok {
			err = errors.New("not " + what)
		}
		if err != nil {
			// Not a fault: it is asked again and again while a function starts.
			slog.DebugContext(ctx, "health", slog.Any("error", err))
			serve.JSON(w, http.StatusServiceUnavailable, map[string]string{"status": "not " + what})
			return
		}
		serve.JSON(w, http.StatusOK, map[string]string{"status": what})
	}
}

// limited refuses requests over a number at a time.
func limited(h http.Handler) http.Handler {
	slots := make(chan struct{}, maxConcurrent)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			serve.Fail(w, r, chat.Errorf(chat.Unavailable, "%d requests are being answered", maxConcurrent))
			return
		}
		h.ServeHTTP(w, r)
	})
}

// alive returns when ctx ends, and before that if the function has to be started
// anew: by whoever starts it again when it ends.
func alive(ctx context.Context, f instance) error {
	for ticks := time.NewTicker(time.Second); ; {
		select {
		case <-ctx.Done():
			ticks.Stop()
			return nil
		case <-ticks.C:
			if ok, err := f.Alive(ctx); !ok {
				return cmp.Or(err, errors.New("it is no longer alive"))
			}
		}
	}
}
