package dispatch

import "github.com/prometheus/client_golang/prometheus"

// counters count the outcomes of a function's events.
type counters struct {
	handled, retried, dead, dropped prometheus.Counter
}

func newCounters(function string) *counters {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{
			Name: name, Help: help, ConstLabels: prometheus.Labels{"function": function},
		})
	}
	return &counters{
		handled: counter("knatter_function_events_total", "Events that an event function is done with."),
		retried: counter("knatter_function_retries_total", "Failed tries of single events, after which they are tried again."),
		dead:    counter("knatter_function_dead_letters_total", "Events that an event function has refused for good."),
		dropped: counter("knatter_function_signals_dropped_total", "Signals that an event function could not handle, or that were none."),
	}
}

// Collectors returns the dispatcher's metrics, for a registry.
func (d *Dispatcher) Collectors() []prometheus.Collector {
	lag := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "knatter_function_lag_records",
		Help:        "Records of the log that an event function is not done with.",
		ConstLabels: prometheus.Labels{"function": d.fn.Name},
	}, func() float64 { return float64(d.Lag()) })
	return []prometheus.Collector{lag, d.count.handled, d.count.retried, d.count.dead, d.count.dropped}
}
