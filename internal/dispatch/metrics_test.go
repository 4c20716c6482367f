package dispatch_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/wait/waittest"
)

// The hidden events that begin the partitions are nobody's, also of a function that
// wants everything: elsewhere they would be refused, as they have no sequence.
func TestHiddenEventsAreNotHandedOver(t *testing.T) {
	c := kafkatest.Start(t)
	everything := chat.EventFunction{Name: "everything", Topic: chat.TopicRooms, Group: "test-everything", Ordered: true}
	r := newRecorder(1)
	d, _ := run(t, c, everything, r, dispatch.Options{})
	if err := kafkatest.Log(t, c).Append(t.Context(), message(t, "room", "first")); err != nil {
		t.Fatal(err)
	}
	r.until(t)
	waittest.Until(t, "the other partitions are handled, too", func() bool { return d.Lag() == 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.times) != 1 || r.times["first"] != 1 {
		t.Errorf("handled %v", r.times)
	}
}

func TestMetrics(t *testing.T) {
	c := kafkatest.Start(t)
	var tries atomic.Int64
	function := handlerFunc(func(_ context.Context, events []chat.Event) error {
		if len(events) > 1 {
			return chat.Errorf(chat.Unavailable, "one by one")
		}
		switch events[0].ID {
		case "bad":
			return chat.Errorf(chat.Invalid, "never")
		case "late":
			if tries.Add(1) < 3 {
				return chat.Errorf(chat.Unavailable, "not yet")
			}
		}
		return nil
	})
	log := kafkatest.Log(t, c)
	for _, id := range []string{"good", "bad", "late"} {
		if err := log.Append(t.Context(), message(t, "room", id)); err != nil {
			t.Fatal(err)
		}
	}
	d, stop := run(t, c, ordered, function, dispatch.Options{})
	deadLetters(t, c, 1)
	waittest.Until(t, "the event was tried three times", func() bool { return tries.Load() >= 3 })
	stop()
	registry := prometheus.NewRegistry()
	registry.MustRegister(d.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		m := f.GetMetric()[0]
		if m.GetLabel()[0].GetValue() != "ordered" {
			t.Errorf("%s is of %v", f.GetName(), m.GetLabel())
		}
		got[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	for name, want := range map[string]float64{
		"knatter_function_lag_records": 0, "knatter_function_events_total": 2, "knatter_function_dead_letters_total": 1, "knatter_function_retries_total": 2,
	} {
		if n, ok := got[name]; !ok || n != want {
			t.Errorf("%s is %v, want %v", name, n, want)
		}
	}
}
