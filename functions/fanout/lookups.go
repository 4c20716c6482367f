package fanout

import (
	"context"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/share"
)

// lookups are lookups of routes, of which concurrent ones share a query: the
// partitions that wait for a busy store wait for one.
type lookups struct {
	shared *share.Query[chat.StreamID, map[chat.StreamID][]int]
}

func newLookups(routes chat.RouteStore) *lookups {
	return &lookups{share.NewQuery(routes.Connectors)}
}

// connectors returns the routes of the streams, in a map of the caller's own.
// Errors: Unavailable when ctx ends first, the store's own.
func (l *lookups) connectors(ctx context.Context, streams []chat.StreamID) (map[chat.StreamID][]int, error) {
	found, err := l.shared.Ask(ctx, streams...)
	if err != nil {
		return nil, err
	}
	own := make(map[chat.StreamID][]int, len(streams))
	for _, stream := range streams {
		if connectors := found[stream]; len(connectors) > 0 {
			own[stream] = connectors
		}
	}
	return own, nil
}
