package dispatch

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
)

// Queued is how many bytes wait in the partitions' queues.
func Queued(d *Dispatcher) int {
	n := 0
	for _, p := range d.all() {
		p.mu.Lock()
		n += p.size
		p.mu.Unlock()
	}
	return n
}

// HandleAlone handles one event with the default options.
func HandleAlone(ctx context.Context, target chat.Handler, e chat.Event) error {
	fn := chat.EventFunction{Name: "test"}
	h := &handling{fn: fn, target: target, opts: Options{}.withDefaults(fn, target), count: newCounters(fn.Name)}
	return h.alone(ctx, ctx, []chat.Event{e}, &kgo.Record{})
}
