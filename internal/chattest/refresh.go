package chattest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"knatter.dev/chat"
)

// RefreshedIndex checks that a [chat.SearchIndex] is brought up to date with what
// an event store beside it holds.
func RefreshedIndex(t *testing.T, open func(t *testing.T) (chat.SearchIndex, chat.EventStore)) {
	ctx := t.Context()
	const n, version = 120, 3
	room := chat.RoomID("room")
	events := make([]chat.Event, n)
	for i := range events {
		events[i] = message(room, "alice", fmt.Sprint("id-", i), chat.Sequence(i+1))
	}
	documentOf := func(analysis int, term string) func(*chat.Event) (chat.Document, error) {
		return func(e *chat.Event) (chat.Document, error) {
			d := document(e.Stream.Room(), e.User(), e.ID, e.Sequence, term)
			d.Analysis = analysis
			return d, nil
		}
	}
	fill := func(t *testing.T, s chat.SearchIndex, analysis int, term string, events []chat.Event) {
		t.Helper()
		var docs []chat.Document
		for i := range events {
			d, err := documentOf(analysis, term)(&events[i])
			must(t, err)
			docs = append(docs, d)
		}
		must(t, s.Put(ctx, docs))
	}
	wantStale := func(t *testing.T, s chat.SearchIndex, analysis int, want bool) {
		t.Helper()
		got, err := s.Stale(ctx, analysis)
		must(t, err)
		if got != want {
			t.Fatalf("stale for analysis %d: %t", analysis, got)
		}
	}
	wantFound := func(t *testing.T, s chat.SearchIndex, term string, want int) {
		t.Helper()
		hits, _, err := s.Search(ctx, chat.Query{Rooms: []chat.RoomID{room}, Words: words(term), Limit: 2 * n})
		must(t, err)
		if len(hits) != want {
			t.Fatalf("%d messages have %q, want %d", len(hits), term, want)
		}
	}

	t.Run("an empty index is never stale", func(t *testing.T) {
		s, stored := open(t)
		wantStale(t, s, version, false)
		refreshed, err := s.Refresh(ctx, version, stored, documentOf(version, "new"))
		if must(t, err); refreshed {
			t.Error("something was refreshed")
		}
		fill(t, s, version, "new", events)
		wantStale(t, s, version, false)
		must(t, s.Wipe(ctx))
		wantStale(t, s, version+1, false)
	})

	for _, before := range []int{0, version - 1} {
		t.Run(fmt.Sprint("documents of analysis ", before), func(t *testing.T) {
			s, stored := open(t)
			must(t, stored.Put(ctx, events))
			fill(t, s, before, "old", events)
			wantStale(t, s, before, false)
			wantStale(t, s, version, true)

			// Interrupted, and begun again.
			stop, calls := errors.New("stop"), 0
			_, err := s.Refresh(ctx, version, stored, func(e *chat.Event) (chat.Document, error) {
				if calls++; calls == 70 {
					return chat.Document{}, stop
				}
				return documentOf(version, "new")(e)
			})
			if !errors.Is(err, stop) {
				t.Fatalf("interrupted: %v", err)
			}
			wantStale(t, s, version, true)
			refreshed, err := s.Refresh(ctx, version, stored, documentOf(version, "new"))
			if must(t, err); !refreshed {
				t.Error("nothing was refreshed")
			}
			wantStale(t, s, version, false)
			wantFound(t, s, "new", n)
			wantFound(t, s, "old", 0)

			// The same messages once more, as a log brings them.
			fill(t, s, version, "new", events)
			wantFound(t, s, "new", n)
			wantStale(t, s, version, false)
			if refreshed, err := s.Refresh(ctx, version, stored, documentOf(version, "newer")); err != nil || refreshed {
				t.Errorf("refreshed again: %t, %v", refreshed, err)
			}
		})
	}

	t.Run("what is indexed before it is stored is found in the end", func(t *testing.T) {
		s, stored := open(t)
		must(t, stored.Put(ctx, events[:n-1]))
		fill(t, s, 0, "old", events)
		_, err := s.Refresh(ctx, version, stored, documentOf(version, "new"))
		must(t, err)
		wantFound(t, s, "new", n-1)
		must(t, stored.Put(ctx, events[n-1:]))
		fill(t, s, version, "new", events) // as the log has them
		_, err = s.Refresh(ctx, version, stored, documentOf(version, "new"))
		must(t, err)
		wantStale(t, s, version, false)
		wantFound(t, s, "new", n)
		wantFound(t, s, "old", 0)
	})

	t.Run("an ended context ends it", func(t *testing.T) {
		s, stored := open(t)
		must(t, stored.Put(ctx, events))
		fill(t, s, 0, "old", events)
		ended, end := context.WithCancel(ctx)
		end()
		if _, err := s.Refresh(ended, version, stored, documentOf(version, "new")); chat.KindOf(err) != chat.Unavailable {
			t.Errorf("refreshed: %v", err)
		}
		wantStale(t, s, version, true)
	})
}
