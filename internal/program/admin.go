package program

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"knatter.dev/chat/internal/listen"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/setting"
)

// AdminAddress is where [ListenAdmin] listens.
func AdminAddress(p *string) setting.Setting {
	return setting.Text(p, "admin", "address", "Serve /metrics, /healthz, /readyz and /debug/pprof on this address; \"none\" disables it")
}

// maxAdmin is how many connections the admin port has at once.
const maxAdmin = 64

// Admin is the server for those who run Knatter, apart from its users' one.
type Admin struct {
	ln     net.Listener
	server *http.Server
}

// ListenAdmin listens at an address; at "" and "none" it doesn't. ready tells
// whether the process can do its work.
func ListenAdmin(address string, ready func(context.Context) error, metrics ...prometheus.Collector) (*Admin, error) {
	if address == "" || address == "none" {
		return &Admin{}, nil
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s (another address: --admin): %w", address, err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(metrics...)

	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		serve.JSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context()); err != nil {
			slog.DebugContext(r.Context(), "not ready", slog.Any("error", err)) // asked again and again at a start: no fault
			serve.JSON(w, http.StatusServiceUnavailable, map[string]string{"status": err.Error()})
			return
		}
		serve.JSON(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{
		Handler: serve.Guarded("the admin port", mux), ConnState: noteIdle,
		MaxHeaderBytes: maxHeader, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
	}
	return &Admin{ln: listen.New(ln, listen.Limits{Total: maxAdmin}), server: server}, nil
}

// noteIdle tells the listener which connections may make room for others.
func noteIdle(conn net.Conn, state http.ConnState) {
	if c, ok := conn.(*listen.Conn); ok {
		c.SetIdle(state == http.StateNew || state == http.StateIdle)
	}
}

// Serve runs until ctx ends.
func (a *Admin) Serve(ctx context.Context) error {
	if a.server == nil {
		<-ctx.Done()
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = a.server.Close() })
	defer stop()
	if err := a.server.Serve(a.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}

// Beside runs the admin server until f, which ends with ctx, has ended: so that it
// can be seen how f is getting on with its end. Either's failure ends both.
func (a *Admin) Beside(ctx context.Context, f func(context.Context) error) error {
	ctx, fail := context.WithCancel(ctx)
	defer fail()
	serving, done := context.WithCancel(context.WithoutCancel(ctx))
	failed := make(chan error, 1)
	go func() { // ended by done
		defer fail()
		failed <- a.Serve(serving)
	}()
	err := f(ctx)
	done()
	return errors.Join(err, <-failed)
}
