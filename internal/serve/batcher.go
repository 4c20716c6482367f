package serve

import (
	"context"
	"log/slog"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/guard"
)

// A Batcher makes concurrent calls share one call of its handler: while one batch
// is handled the next one gathers, so that n waiting events cost one commit. A
// batch is bounded: a larger commit would cost no less per event, but take memory
// and time during which no event is done. Each call returns when its own events are
// done. When a batch fails, the events of each call are handled alone, so that a bad
// event fails only its own call.
type Batcher struct {
	h     chat.Handler
	calls chan *call
	slot  chan struct{} // held by the caller that handles a batch
}

type call struct {
	ctx    context.Context
	events []chat.Event
	done   chan error
}

const (
	maxBatchCalls = 512  // maximum number of calls that wait, or share a batch
	fullBatch     = 1000 // events; a batch that has so many takes no further call
)

// NewBatcher returns a batcher over h. It has no goroutine of its own: the callers
// take turns in handling what has gathered.
func NewBatcher(h chat.Handler) *Batcher {
	return &Batcher{h: h, calls: make(chan *call, maxBatchCalls), slot: make(chan struct{}, 1)}
}

var _ chat.Handler = (*Batcher)(nil)

// HandleEvents implements [chat.Handler].
func (b *Batcher) HandleEvents(ctx context.Context, events []chat.Event) error {
	c := &call{ctx: ctx, events: events, done: make(chan error, 1)}
	select {
	case b.calls <- c:
	case <-ctx.Done():
		return chat.Errorf(chat.Unavailable, "overloaded: %w", ctx.Err())
	}
	for {
		select {
		case err := <-c.done:
			return err
		case b.slot <- struct{}{}:
			b.handleGathered()
			<-b.slot
		}
	}
}

// handleGathered takes the calls that have gathered and handles them as one.
func (b *Batcher) handleGathered() {
	var calls []*call
	var events []chat.Event
	for len(calls) < maxBatchCalls && len(events) < fullBatch {
		select {
		case c := <-b.calls:
			calls = append(calls, c)
			events = append(events, c.events...)
			continue
		default:
		}
		break
	}
	if len(calls) == 0 {
		return
	}
	err := b.handle(calls[0].ctx, events)
	for _, c := range calls {
		// If a dependency is unavailable, it is so for every call. Any other error may
		// be the fault of one event.
		if err != nil && len(calls) > 1 && chat.KindOf(err) != chat.Unavailable {
			c.done <- b.handle(c.ctx, c.events)
			continue
		}
		c.done <- err
	}
}

// handle calls h. A caller that gave up must not fail the others, so its context
// does not end the call; nor must a panic, which would leave them waiting.
func (b *Batcher) handle(ctx context.Context, events []chat.Event) error {
	return guard.Call(ctx, slog.Default(), "the function", func() error {
		return b.h.HandleEvents(context.WithoutCancel(ctx), events)
	})
}
