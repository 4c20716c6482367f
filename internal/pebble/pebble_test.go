package pebble

import (
	"context"
	"errors"
	"os"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/chattest"
	"knatter.dev/chat/internal/projection"
)

// memory opens a store in memory, closed at the test's end.
func memory(t testing.TB) *Store {
	t.Helper()
	s, err := OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestEvents(t *testing.T) {
	chattest.EventStore(t, func(t *testing.T) chat.EventStore { return memory(t).Events() })
}

func TestLives(t *testing.T) {
	chattest.Lives(t, func(t *testing.T) projection.Events { return memory(t).Events() })
}

func TestRooms(t *testing.T) {
	chattest.RoomStore(t, func(t *testing.T) chat.RoomStore { return memory(t).Rooms() })
}

func TestReading(t *testing.T) {
	s := memory(t)
	n := 10_000
	if os.Getenv("KNATTER_SLOW") != "" {
		n = 1_000_000
	}
	chattest.Reading(t, s.Events(), s.Rooms(), n)
}

func TestAccounts(t *testing.T) {
	chattest.AccountStore(t, func(t *testing.T) chat.AccountStore { return memory(t).Accounts() })
}

func TestSessions(t *testing.T) {
	chattest.SessionStore(t, func(t *testing.T) chat.SessionStore { return memory(t).Sessions() })
}

func TestAttempts(t *testing.T) {
	chattest.AttemptStore(t, func(t *testing.T) chat.AttemptStore { return memory(t).Attempts() })
}

func TestInvites(t *testing.T) {
	chattest.InviteStore(t, func(t *testing.T) chat.InviteStore { return memory(t).Invites() })
}

func TestRoutes(t *testing.T) {
	chattest.RouteStore(t, func(t *testing.T) chat.RouteStore { return memory(t).Routes() })
}

func TestIndex(t *testing.T) {
	chattest.SearchIndex(t, func(t *testing.T) chat.SearchIndex { return memory(t).Index() })
	chattest.ChangedIndex(t, func(t *testing.T) chat.SearchIndex { return memory(t).Index() })
	chattest.RefreshedIndex(t, func(t *testing.T) (chat.SearchIndex, chat.EventStore) {
		s := memory(t)
		return s.Index(), s.Events()
	})
}

// The stores again with every write flushed to a table of its own, so that
// reading goes through tables, their filters and compactions.

func TestFlushedEvents(t *testing.T) {
	chattest.EventStore(t, func(t *testing.T) chat.EventStore {
		s := memory(t)
		return flushedEvents{s.Events(), s}
	})
}

func TestFlushedLives(t *testing.T) {
	chattest.Lives(t, func(t *testing.T) projection.Events {
		s := memory(t)
		return flushedEvents{s.Events(), s}
	})
}

func TestFlushedIndex(t *testing.T) {
	chattest.SearchIndex(t, func(t *testing.T) chat.SearchIndex {
		s := memory(t)
		return flushedIndex{s.Index(), s}
	})
}

type flushedEvents struct {
	liveEvents
	s *Store
}

type liveEvents interface{ projection.Events }

func (f flushedEvents) Put(ctx context.Context, events []chat.Event) error {
	return errors.Join(f.liveEvents.Put(ctx, events), f.s.db.Flush())
}

type flushedIndex struct {
	chat.SearchIndex
	s *Store
}

func (f flushedIndex) Put(ctx context.Context, docs []chat.Document) error {
	return errors.Join(f.SearchIndex.Put(ctx, docs), f.s.db.Flush())
}

func TestProgress(t *testing.T) {
	chattest.ProgressStore(t, func(t *testing.T) (chattest.Projections, func() chattest.Projections) {
		dir := t.TempDir()
		s, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return projections(s), func() chattest.Projections {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = Open(dir); err != nil {
				t.Fatal(err)
			}
			return projections(s)
		}
	})
}

func projections(s *Store) chattest.Projections {
	return chattest.Projections{Events: s.Events(), Rooms: s.Rooms(), Index: s.Index(), Routes: s.Routes(), Progress: s.Progress()}
}
