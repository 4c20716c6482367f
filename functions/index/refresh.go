package index

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/analysis"
)

// Refresh brings an index that an earlier analysis has made up to date, and reports
// whether it had anything to do (see [chat.SearchIndex]). A stored message that
// cannot be read stays without terms.
func Refresh(ctx context.Context, index chat.SearchIndex, events chat.EventStore) (bool, error) {
	refreshed, err := index.Refresh(ctx, analysis.Version, events, func(e *chat.Event) (chat.Document, error) {
		d, err := documentOf(e)
		if err != nil && chat.KindOf(err).Never() {
			return d, nil
		}
		return d, err
	})
	if err != nil {
		return refreshed, fmt.Errorf("bringing the search index up to date: %w", err)
	}
	return refreshed, nil
}

// betweenRefreshes is how long the index is left alone: functions of the version
// before may still write to it, and messages may come to the store later than to
// the index.
const betweenRefreshes = time.Minute

// keepFresh refreshes the index until ctx ends.
func keepFresh(ctx context.Context, index chat.SearchIndex, events chat.EventStore) {
	for ctx.Err() == nil {
		refreshed, err := Refresh(ctx, index, events)
		switch {
		case err != nil && ctx.Err() == nil:
			slog.Warn("the search index is not up to date", "error", err)
		case refreshed:
			slog.Info("the search index is up to date")
		}
		select {
		case <-time.After(betweenRefreshes):
		case <-ctx.Done():
		}
	}
}
