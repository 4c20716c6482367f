package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"knatter.dev/chat/connector"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/serve"
)

// admin is the server for those who run Knatter, apart from its users' one.
type admin struct {
	ln     net.Listener
	server *http.Server
}

func listenAdmin(address string, gateway *connector.Connector, dispatchers map[string]*dispatch.Dispatcher) (*admin, error) {
	if address == "" {
		return &admin{}, nil
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w (another address: --admin)", address, err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(gateway.Collectors()...)
	for name, d := range dispatchers {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "knatter_function_lag_records",
			Help:        "Records of the log that an event function is not done with.",
			ConstLabels: prometheus.Labels{"function": name},
		}, func() float64 { return float64(d.Lag()) }))
	}

	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		serve.JSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := gateway.Ready(r.Context()); err != nil {
			serve.Fail(w, r, err)
			return
		}
		serve.JSON(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return &admin{ln: ln, server: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}}, nil
}

// serve runs until ctx ends.
func (a *admin) serve(ctx context.Context) error {
	if a.server == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = a.server.Close() })
	defer stop()
	if err := a.server.Serve(a.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}
