package connector_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
)

func TestMetricsTellOfDeliveries(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice")
	alice := r.open("alice")
	alice.send(chat.RoomSubscribe, "", "s", subscribe("r", ""))
	alice.next(chat.RoomSubscribed)
	alice.say("r", "hello")
	alice.hears("hello")

	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(r.c.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, atLeast := range map[string]float64{
		"knatter_connector_sockets":               1,
		"knatter_connector_frames_received_total": 2,
		"knatter_connector_deliveries_total":      1,
		"knatter_connector_delivery_seconds":      1,
		"knatter_connector_ack_seconds":           1,
		"knatter_connector_queued_frames":         0,
		"knatter_connector_longest_queue_frames":  0,
	} {
		if value, ok := got[name]; !ok || value < atLeast {
			t.Errorf("%s is %v (there: %v), want at least %v", name, value, ok, atLeast)
		}
	}
}
