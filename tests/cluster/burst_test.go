package cluster

import (
	"context"
	"testing"
	"time"
)

// Many talk at once: functions scale out, and back. Nothing is lost, nothing comes
// twice, and the order is kept.
func burst(t *testing.T) {
	c := deployed(t)
	cr := c.crowd(t, 16)
	ctx, cancel := context.WithCancel(t.Context())
	most, watched := c.watch(ctx)
	begin := time.Now()
	count, acks := cr.talks(t.Context(), t, 200, 0)
	took := time.Since(begin)
	cr.check(t)
	settled := time.Since(begin)
	cancel()
	<-watched
	t.Logf("%d messages in %v, all received, in the history and handled by every function after %v; acked p50 %v, p99 %v; most pods: %v", count,
		took.Round(time.Millisecond), settled.Round(time.Millisecond), percentile(acks, .5), percentile(acks, .99), most)
	out := false
	for _, name := range functions {
		out = out || most[name] > 1
	}
	if !out {
		t.Error("no function scaled out")
	}
	t.Logf("no pod wanted %v after that", c.Idle(t).Round(time.Second))
}
