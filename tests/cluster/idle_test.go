package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// When nobody says anything all functions go to zero, though people are connected.
// One message then wakes what it needs.
func idle(t *testing.T) {
	c := deployed(t)
	alice, bob := c.someone(t, 0, "alice"), c.someone(t, 1, "bob")
	room := c.room(t, alice, bob)
	bob.Sees(alice.Sends(room, "before everybody leaves"))
	t.Logf("no pod wanted after %v idle", c.Idle(t).Round(time.Second))

	begin := time.Now()
	sequence := alice.Sends(room, "after a long silence")
	acked := time.Since(begin)
	cold := bob.Sees(sequence).Sub(begin)
	wanted, _, err := c.Replicas(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	alice.Sees(sequence)
	t.Logf("from zero: acked after %v, received after %v; pods then wanted: %v", acked.Round(time.Millisecond), cold.Round(time.Millisecond), wanted)

	// What a message does not need stays at zero until somebody asks.
	begin = time.Now()
	if messages := bob.Reads(room); len(messages) != 2 {
		t.Errorf("%d messages in the history", len(messages))
	}
	t.Logf("from zero: history after %v", time.Since(begin).Round(time.Millisecond))
	begin = time.Now()
	bob.Finds(room, "silence", 1)
	t.Logf("from zero: search after %v, the message being indexed included", time.Since(begin).Round(time.Millisecond))

	const warm = 300
	var received, acks []time.Duration
	for i := range warm {
		begin := time.Now()
		sequence := alice.Sends(room, fmt.Sprint("warm ", i))
		acks = append(acks, time.Since(begin))
		received = append(received, bob.Sees(sequence).Sub(begin))
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	t.Logf("warm, %d messages: acked p50 %v, p99 %v; received p50 %v, p99 %v", warm,
		percentile(acks, .5), percentile(acks, .99), percentile(received, .5), percentile(received, .99))
}

// watch counts pods of each function until its context ends, and keeps the highest
// counts.
func (c *Cluster) watch(ctx context.Context) (most map[string]int, done <-chan struct{}) {
	most, end := map[string]int{}, make(chan struct{})
	go func() { // ends with ctx
		defer close(end)
		for ctx.Err() == nil {
			_, there, err := c.Replicas(ctx)
			if err == nil {
				for name, n := range there {
					most[name] = max(most[name], n)
				}
			}
			select {
			case <-time.After(500 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	return most, end
}
