package fanout_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/functions/fanout"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/pebble/pebbletest"
	"knatter.dev/chat/internal/projection"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/store"
)

// sink is a deliverer that keeps what it gets, or fails.
type sink struct {
	got []string // "connector:sequence"
	err error
}

func (s *sink) Deliver(_ context.Context, deliveries []chat.Delivery) error {
	if s.err != nil {
		return s.err
	}
	for _, d := range deliveries {
		s.got = append(s.got, fmt.Sprintf("%d:%d", d.Connector, d.Sequence))
	}
	return nil
}

func (s *sink) take() string {
	got := strings.Join(s.got, " ")
	s.got = nil
	return got
}

// counted counts the lookups of a route store.
type counted struct {
	chat.RouteStore
	lookups atomic.Int32
}

func (c *counted) Connectors(ctx context.Context, streams []chat.StreamID) (map[chat.StreamID][]int, error) {
	c.lookups.Add(int32(len(streams)))
	return c.RouteStore.Connectors(ctx, streams)
}

func setup(t *testing.T) (*fanout.Function, *counted, *sink) {
	t.Helper()
	store := pebbletest.Memory(t)
	routes, out := &counted{RouteStore: store.Routes()}, &sink{}
	return over(routes, store.Events(), out), routes, out
}

func over(routes chat.RouteStore, events projection.Events, out chat.Deliverer) *fanout.Function {
	return fanout.New(function.Deps{Stores: store.Stores{Routes: routes, Events: events}, Deliverer: out})
}

func event(t *testing.T, stream chat.StreamID, seq chat.Sequence, typ chat.Type, data any) chat.Event {
	t.Helper()
	e, err := chat.NewStreamEvent(fmt.Sprint(seq), "alice", typ, stream, data)
	if err != nil {
		t.Fatal(err)
	}
	e.Sequence = seq
	return e
}

func message(t *testing.T, stream chat.StreamID, seq chat.Sequence) chat.Event {
	return event(t, stream, seq, chat.MessagePosted, chat.Posted{Text: "hi"})
}

func route(t *testing.T, stream chat.StreamID, seq chat.Sequence, typ chat.Type, connector int) chat.Event {
	return event(t, stream, seq, typ, chat.RouteData{Connector: connector})
}

func TestRouteChangesCountFromTheirPlaceOn(t *testing.T) {
	f, routes, out := setup(t)
	batch := []chat.Event{
		message(t, "room", 1),
		route(t, "room", 2, chat.RouteOpened, 0),
		message(t, "room", 3),
		message(t, "other", 4),
		route(t, "room", 5, chat.RouteOpened, 7),
		message(t, "room", 6),
		route(t, "room", 7, chat.RouteClosed, 0),
		message(t, "room", 8),
		route(t, "room", 9, chat.RouteOpened, 7), // again
		message(t, "room", 10),
	}
	if err := f.HandleEvents(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	const want = "0:3 0:6 7:6 7:8 7:10"
	if got := out.take(); got != want {
		t.Errorf("delivered %s, want %s", got, want)
	}
	if n := routes.lookups.Load(); n != 2 {
		t.Errorf("%d lookups for 2 streams", n)
	}

	// One at a time is the same.
	f, _, out = setup(t)
	for _, e := range batch {
		if err := f.HandleEvents(t.Context(), []chat.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	if got := out.take(); got != want {
		t.Errorf("one at a time: delivered %s, want %s", got, want)
	}
}

func TestReplayLeavesTheRoutesAlone(t *testing.T) {
	f, routes, out := setup(t)
	batch := []chat.Event{
		route(t, "room", 1, chat.RouteOpened, 1),
		message(t, "room", 2),
		route(t, "room", 3, chat.RouteOpened, 2),
		route(t, "room", 4, chat.RouteClosed, 1),
	}
	for range 2 {
		if err := f.HandleEvents(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		connectors, err := routes.RouteStore.Connectors(t.Context(), []chat.StreamID{"room"})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(connectors["room"], []int{2}) {
			t.Errorf("routes %v, want [2]", connectors)
		}
		if got := out.take(); !strings.Contains(got, "1:2") {
			t.Errorf("delivered %q without 1:2", got)
		}
	}
	// A rewound group begins somewhere in the middle of what it did.
	if err := f.HandleEvents(t.Context(), batch[:1]); err != nil {
		t.Fatal(err)
	}
	connectors, err := routes.RouteStore.Connectors(t.Context(), []chat.StreamID{"room"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(connectors["room"], []int{2}) {
		t.Errorf("routes %v, want [2]", connectors)
	}
}

func TestFailedBatchIsDeliveredByItsOldRoutesWhenGivenAgain(t *testing.T) {
	f, _, out := setup(t)
	if err := f.HandleEvents(t.Context(), []chat.Event{route(t, "room", 1, chat.RouteOpened, 1)}); err != nil {
		t.Fatal(err)
	}
	batch := []chat.Event{message(t, "room", 2), route(t, "room", 3, chat.RouteClosed, 1)}
	out.err = chat.Errorf(chat.Unavailable, "away")
	if err := f.HandleEvents(t.Context(), batch); !errors.Is(err, out.err) || chat.KindOf(err).Never() {
		t.Fatalf("got %v, want a retryable error", err)
	}
	out.err = nil
	if err := f.HandleEvents(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if got := out.take(); got != "1:2" {
		t.Errorf("delivered %q, want 1:2", got)
	}
}

func TestWhatConnectorsGet(t *testing.T) {
	f, _, out := setup(t)
	err := f.HandleEvents(t.Context(), []chat.Event{
		route(t, "log", 1, chat.RouteClosed, -1), // as each partition begins
		route(t, "@alice", 2, chat.RouteOpened, 0),
		event(t, "@alice", 3, chat.SessionRevoked, chat.RevokedData{Session: "s"}),
		event(t, "@alice", 4, chat.MemberJoined, chat.MemberData{User: "alice"}),
		event(t, "@alice", 5, "dev.knatter.something.new", struct{}{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := out.take(), "0:3 0:4 0:5"; got != want {
		t.Errorf("delivered %q, want %q", got, want)
	}
}

func TestSignals(t *testing.T) {
	f, _, out := setup(t)
	typing := event(t, "room", 0, chat.TypingStarted, struct{}{})
	old := typing
	old.Time = old.Time.Add(-time.Minute)
	if err := f.HandleEvents(t.Context(), []chat.Event{route(t, "room", 1, chat.RouteOpened, 3)}); err != nil {
		t.Fatal(err)
	}
	// The same signal may be sent again: it is no repeat.
	if err := f.HandleEvents(t.Context(), []chat.Event{typing, old, typing}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.take(), "3:0 3:0"; got != want {
		t.Errorf("delivered %q, want %q", got, want)
	}
}

func TestUnreadableRouteIsNeverRetried(t *testing.T) {
	f, _, _ := setup(t)
	e := route(t, "room", 1, chat.RouteOpened, 0)
	e.Data = []byte(`{"connector":"zero"}`)
	if err := f.HandleEvents(t.Context(), []chat.Event{e}); !chat.KindOf(err).Never() {
		t.Errorf("got %v", err)
	}
}

func TestFunctionTakesEventsOverHTTP(t *testing.T) {
	f, _, out := setup(t)
	for _, e := range []chat.Event{route(t, "room", 1, chat.RouteOpened, 3), message(t, "room", 2)} {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(e.AppendFrame(nil)))
		r.Header.Set("Content-Type", "application/cloudevents+json")
		w := httptest.NewRecorder()
		serve.Events(f, nil).ServeHTTP(w, r)
		if w.Code != http.StatusNoContent {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	}
	if got := out.take(); got != "3:2" {
		t.Errorf("delivered %q, want 3:2", got)
	}
}
