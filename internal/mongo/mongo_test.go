package mongo

import (
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/chattest"
	"knatter.dev/chat/internal/mongo/mongotest"
	"knatter.dev/chat/internal/projection"
)

// fresh opens a store on an empty database, closed and dropped at the test's end.
func fresh(t testing.TB) *Store {
	t.Helper()
	return connect(t, mongotest.Database(t))
}

func connect(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url)
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
	chattest.EventStore(t, func(t *testing.T) chat.EventStore { return fresh(t).Events() })
}

func TestLives(t *testing.T) {
	chattest.Lives(t, func(t *testing.T) projection.Events { return fresh(t).Events() })
}

func TestRooms(t *testing.T) {
	chattest.RoomStore(t, func(t *testing.T) chat.RoomStore { return fresh(t).Rooms() })
}

func init() { chattest.Seeds = 8 } // FerretDB looks through all for each query

func TestReading(t *testing.T) {
	s := fresh(t)
	chattest.Reading(t, s.Events(), s.Rooms(), 300) // FerretDB looks through all for each
}

func TestAccounts(t *testing.T) {
	chattest.AccountStore(t, func(t *testing.T) chat.AccountStore { return fresh(t).Accounts() })
}

func TestSessions(t *testing.T) {
	chattest.SessionStore(t, func(t *testing.T) chat.SessionStore { return fresh(t).Sessions() })
}

func TestAttempts(t *testing.T) {
	chattest.AttemptStore(t, func(t *testing.T) chat.AttemptStore { return fresh(t).Attempts() })
}

func TestInvites(t *testing.T) {
	chattest.InviteStore(t, func(t *testing.T) chat.InviteStore { return fresh(t).Invites() })
}

func TestRoutes(t *testing.T) {
	chattest.RouteStore(t, func(t *testing.T) chat.RouteStore { return fresh(t).Routes() })
}

func TestIndex(t *testing.T) {
	chattest.SearchIndex(t, func(t *testing.T) chat.SearchIndex { return fresh(t).Index() })
	chattest.ChangedIndex(t, func(t *testing.T) chat.SearchIndex { return fresh(t).Index() })
	chattest.RefreshedIndex(t, func(t *testing.T) (chat.SearchIndex, chat.EventStore) {
		s := fresh(t)
		return s.Index(), s.Events()
	})
}

func TestProgress(t *testing.T) {
	chattest.ProgressStore(t, func(t *testing.T) (chattest.Projections, func() chattest.Projections) {
		url := mongotest.Database(t)
		s, err := Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return projections(s), func() chattest.Projections {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = Open(t.Context(), url); err != nil {
				t.Fatal(err)
			}
			return projections(s)
		}
	})
}

func projections(s *Store) chattest.Projections {
	return chattest.Projections{Events: s.Events(), Rooms: s.Rooms(), Index: s.Index(), Routes: s.Routes(), Progress: s.Progress()}
}
