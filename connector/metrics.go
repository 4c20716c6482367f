package connector

import "github.com/prometheus/client_golang/prometheus"

// metrics are what /metrics shows of a connector.
type metrics struct {
	sockets    prometheus.Gauge
	received   prometheus.Counter
	delivered  prometheus.Counter
	refused    *prometheus.CounterVec
	closed     *prometheus.CounterVec
	acked      prometheus.Histogram
	collectors []prometheus.Collector
}

func newMetrics() *metrics {
	m := &metrics{
		sockets:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "knatter_connector_sockets", Help: "Open sockets."}),
		received:  prometheus.NewCounter(prometheus.CounterOpts{Name: "knatter_connector_frames_received_total", Help: "Frames from clients."}),
		delivered: prometheus.NewCounter(prometheus.CounterOpts{Name: "knatter_connector_deliveries_total", Help: "Deliveries from fan-out; each goes to every local subscriber of its room."}),
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
	}
	m.collectors = []prometheus.Collector{m.sockets, m.received, m.delivered, m.refused, m.closed, m.acked}
	return m
}

// Collectors are the connector's metrics, for a registry.
func (c *Connector) Collectors() []prometheus.Collector { return c.metrics.collectors }
