package connector

import "github.com/prometheus/client_golang/prometheus"

// metrics are what /metrics shows of a connector.
type metrics struct {
	sockets    prometheus.Gauge
	received   prometheus.Counter
	delivered  prometheus.Counter
	dropped    prometheus.Counter
	refused    *prometheus.CounterVec
	closed     *prometheus.CounterVec
	acked      prometheus.Histogram
	delays     prometheus.Histogram
	collectors []prometheus.Collector
}

func newMetrics() *metrics {
	m := &metrics{
		sockets:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "knatter_connector_sockets", Help: "Open sockets."}),
		received:  prometheus.NewCounter(prometheus.CounterOpts{Name: "knatter_connector_frames_received_total", Help: "Frames from clients."}),
		delivered: prometheus.NewCounter(prometheus.CounterOpts{Name: "knatter_connector_deliveries_total", Help: "Deliveries from fan-out; each goes to every local subscriber of its room."}),
		dropped:   prometheus.NewCounter(prometheus.CounterOpts{Name: "knatter_connector_signals_dropped_total", Help: "Signals that a socket did not get, as others waited for it."}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "knatter_connector_frames_refused_total", Help: "Frames answered by an error, by status.",
		}, []string{"status"}),
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "knatter_connector_sockets_closed_total", Help: "Closed sockets, by close code.",
		}, []string{"code"}),
		acked: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "knatter_connector_ack_seconds", Help: "From reading a frame to its acknowledgement by the log.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 16),
		}),
		delays: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "knatter_connector_delivery_seconds",
			Help:    "From an event's time to its delivery to this connector, of the first in each batch; as exact as the clocks of the machines agree.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
	}
	m.collectors = []prometheus.Collector{m.sockets, m.received, m.delivered, m.dropped, m.refused, m.closed, m.acked, m.delays}
	return m
}

// queued are what waits to be written to sockets, looked at when it is asked for.
func (c *Connector) queued() []prometheus.Collector {
	look := func() (all, most int) {
		for _, s := range c.list() {
			n := s.out.Len()
			all, most = all+n, max(most, n)
		}
		return all, most
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "knatter_connector_queued_frames", Help: "Frames that wait to be written, of all sockets."},
			func() float64 { all, _ := look(); return float64(all) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "knatter_connector_longest_queue_frames", Help: "Frames that wait for the socket that has most."},
			func() float64 { _, most := look(); return float64(most) }),
	}
}

// Collectors are the connector's metrics, for a registry.
func (c *Connector) Collectors() []prometheus.Collector {
	return append(c.queued(), c.metrics.collectors...)
}
