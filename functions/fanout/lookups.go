package fanout

import (
	"context"
	"sync"

	"knatter.dev/chat"
)

// lookups makes concurrent lookups of routes share one query: while one is under
// way the next one gathers. So the partitions that wait for a busy store wait for
// one query, not each for one of its own. Nobody gets what was read before the
// call.
type lookups struct {
	routes chat.RouteStore
	turn   chan struct{} // held by the caller that looks up

	mu      sync.Mutex
	gathers *lookup // nil when nobody waits
}

type lookup struct {
	streams []chat.StreamID
	done    chan struct{} // closed when the fields below are set
	found   map[chat.StreamID][]int
	err     error
}

func newLookups(routes chat.RouteStore) *lookups {
	return &lookups{routes: routes, turn: make(chan struct{}, 1)}
}

// connectors returns the routes of the streams, in a map of the caller's own.
// Errors: Unavailable when ctx ends first, the store's own.
func (l *lookups) connectors(ctx context.Context, streams []chat.StreamID) (map[chat.StreamID][]int, error) {
	n := l.join(streams)
	select {
	case <-n.done:
	case l.turn <- struct{}{}:
		l.carryOut(ctx, n)
	case <-ctx.Done():
		return nil, chat.Errorf(chat.Unavailable, "waiting for other lookups: %w", ctx.Err())
	}
	if n.err != nil {
		return nil, n.err
	}
	own := make(map[chat.StreamID][]int, len(streams))
	for _, stream := range streams {
		if connectors := n.found[stream]; len(connectors) > 0 {
			own[stream] = connectors
		}
	}
	return own, nil
}

func (l *lookups) join(streams []chat.StreamID) *lookup {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gathers == nil {
		l.gathers = &lookup{done: make(chan struct{})}
	}
	l.gathers.streams = append(l.gathers.streams, streams...)
	return l.gathers
}

// carryOut has the turn, and carries n out unless somebody has done so before. A
// caller that gives up must not fail the others, so its context doesn't end the
// query; the store bounds it.
func (l *lookups) carryOut(ctx context.Context, n *lookup) {
	defer func() { <-l.turn }()
	l.mu.Lock()
	mine := l.gathers == n
	if mine {
		l.gathers = nil
	}
	l.mu.Unlock()
	if !mine {
		<-n.done
		return
	}
	defer close(n.done)
	n.err = chat.Errorf(chat.Internal, "the route store panicked") // unless it returns
	n.found, n.err = l.routes.Connectors(context.WithoutCancel(ctx), n.streams)
}
