package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"knatter.dev/chat/internal/wait"
)

// interval is how long each pair waits between two messages of a steady load.
const interval = 200 * time.Millisecond

// during has a crowd talk while something happens, and some seconds longer, and
// checks what came of it.
func (c *Cluster) during(t *testing.T, cr *crowd, happens func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	type result struct {
		count int
		acks  []time.Duration
	}
	talked := make(chan result, 1)
	go func() { // ends with ctx
		count, acks := cr.talks(ctx, t, 1<<20, interval)
		talked <- result{count, acks}
	}()
	begin := time.Now()
	func() {
		defer cancel()
		wait.For(3*time.Second, ctx.Done())
		happens()
		wait.For(5*time.Second, ctx.Done())
	}()
	r := <-talked
	took := time.Since(begin)
	cr.check(t)
	t.Logf("%d messages in %v, nothing lost, doubled or out of order; acked p50 %v, p99 %v, longest %v; %d reconnects", r.count, took.Round(time.Second),
		percentile(r.acks, .5), percentile(r.acks, .99), percentile(r.acks, 1), cr.reconnects())
}

// Each function is replaced by a new revision while people talk and read.
func rollingFunctions(t *testing.T) {
	c := deployed(t)
	for _, name := range functions {
		t.Run(name, func(t *testing.T) {
			cr := c.crowd(t, 4)
			c.during(t, cr, func() {
				service := "ksvc/knatter-" + name
				before := c.does(t, "get", service, "-o", "jsonpath={.status.latestReadyRevisionName}")
				c.does(t, "patch", service, "--type=merge", "-p",
					fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"knatter.dev/rolled":"%d"}}}}}`, time.Now().UnixNano()))
				for begin := time.Now(); c.does(t, "get", service, "-o", "jsonpath={.status.latestReadyRevisionName}") == before; wait.For(200*time.Millisecond, t.Context().Done()) {
					if time.Since(begin) > patience {
						t.Fatalf("no new revision of %s gets ready", name)
					}
				}
				c.does(t, "wait", service, "--for=condition=Ready", "--timeout=60s")
			})
			if n := cr.reconnects(); n > 0 {
				t.Errorf("%d reconnects for a function that has no sockets", n)
			}
		})
	}
}

// The connectors are replaced one by one: people reconnect, and that is all.
func rollingConnectors(t *testing.T) {
	c := deployed(t)
	cr := c.crowdAt(t, 4, func(int) int { return anyConnector })
	c.during(t, cr, func() {
		c.does(t, "rollout", "restart", "statefulset/connector")
		c.does(t, "rollout", "status", "statefulset/connector", "--timeout=3m")
	})
	if cr.reconnects() == 0 {
		t.Error("nobody reconnected, so nothing was tested")
	}
}
