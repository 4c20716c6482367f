package connector_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
	"knatter.dev/chat/internal/wait/waittest"
)

// Ready is who gets what goes through the log, not who can reach it.
func TestReadyProvesTheWayThroughTheLog(t *testing.T) {
	var broken atomic.Bool
	var came atomic.Int64
	r := newRig(t, connector.Config{}, func(follow connector.Follow) connector.Follow {
		return func(ctx context.Context, ready func(), handle func([]chat.Delivery)) error {
			return follow(ctx, ready, func(deliveries []chat.Delivery) {
				came.Add(int64(len(deliveries)))
				if !broken.Load() {
					handle(deliveries)
				}
			})
		}
	})
	becomes := func(ready bool) {
		t.Helper()
		var err error
		if !waittest.Holds(20*time.Second, func() bool { err = r.c.Ready(t.Context()); return (err == nil) == ready }) {
			t.Fatalf("ready: %v, want %v", err, ready)
		}
		if err != nil && chat.KindOf(err) != chat.Unavailable {
			t.Errorf("got %v, want Unavailable", err)
		}
	}
	becomes(true)
	// However often it is asked, it is found out once in a while.
	before := came.Load()
	for range 1000 {
		_ = r.c.Ready(t.Context())
	}
	if probes := came.Load() - before; probes > 3 {
		t.Errorf("%d probes for 1,000 questions", probes)
	}
	broken.Store(true)
	becomes(false)
	broken.Store(false)
	becomes(true)
}
