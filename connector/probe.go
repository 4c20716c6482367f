package connector

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"knatter.dev/chat"
)

const (
	// probeType marks a delivery that is for the connector itself alone.
	probeType chat.Type = chat.Prefix + "probe"

	// How long an answer to whether the log takes what it is given stands for the
	// next ones: readiness is asked by anybody, as often as they like.
	probeHolds  = 2 * time.Second
	refuseHolds = 500 * time.Millisecond
)

// prober finds out whether what is logged arrives: it delivers something to its own
// connector, through the log and back, and waits for it.
type prober struct {
	deliver chat.Deliverer // nil where there is none to probe by
	log     Log
	self    int

	asking sync.Mutex // held while it is found out, and by those who wait for that
	asked  time.Time
	err    error

	mu      sync.Mutex
	awaited string        // frame of the probe under way
	came    chan struct{} // closed when it has come
}

// check reports whether the log works, as of a moment ago. Errors: Unavailable.
func (p *prober) check(ctx context.Context) error {
	p.asking.Lock()
	defer p.asking.Unlock()
	holds := probeHolds
	if p.err != nil {
		holds = refuseHolds
	}
	if p.asked.IsZero() || time.Since(p.asked) >= holds {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
		defer cancel()
		p.err = p.probe(ctx)
		p.asked = time.Now()
	}
	return p.err
}

func (p *prober) probe(ctx context.Context) error {
	if err := p.log.Ready(ctx); err != nil || p.deliver == nil {
		return err
	}
	frame, came := uuid.NewString(), make(chan struct{})
	p.mu.Lock()
	p.awaited, p.came = frame, came
	p.mu.Unlock()
	if err := p.deliver.Deliver(ctx, []chat.Delivery{{Connector: p.self, Stream: "log", Sequence: 1, Type: probeType, Frame: []byte(frame)}}); err != nil {
		return err
	}
	select {
	case <-came:
		return nil
	case <-ctx.Done():
		return chat.Errorf(chat.Unavailable, "what is logged does not arrive")
	}
}

// take takes the probes out of deliveries.
func (p *prober) take(deliveries []chat.Delivery) []chat.Delivery {
	return slices.DeleteFunc(deliveries, func(d chat.Delivery) bool {
		if d.Type != probeType {
			return false
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.came != nil && string(d.Frame) == p.awaited {
			close(p.came)
			p.came = nil
		}
		return true
	})
}
