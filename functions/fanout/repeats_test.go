package fanout_test

import (
	"context"
	"errors"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/functions/fanout"
	"knatter.dev/chat/internal/pebble/pebbletest"
	"knatter.dev/chat/internal/projection"
)

// sent is a message with an id of its own choice.
func sent(t *testing.T, room chat.StreamID, seq chat.Sequence, id, text string) chat.Event {
	t.Helper()
	e := event(t, room, seq, chat.MessagePosted, chat.Posted{Text: text})
	e.ID = id
	return e
}

// Of two texts under one id receivers get the first alone: in one batch, in two,
// and when the first was handled before a restart.
func TestRepeatsAreDeliveredOnce(t *testing.T) {
	first, second := sent(t, "room", 2, "id", "first"), sent(t, "room", 3, "id", "second")
	open := route(t, "room", 1, chat.RouteOpened, 0)
	handle := func(f *fanout.Function, events ...chat.Event) {
		t.Helper()
		if err := f.HandleEvents(t.Context(), events); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("in one batch", func(t *testing.T) {
		f, _, out := setup(t)
		handle(f, open, first, second)
		if got := out.take(); got != "0:2" {
			t.Errorf("delivered %q", got)
		}
	})
	t.Run("the route comes between them", func(t *testing.T) {
		f, _, out := setup(t)
		late := route(t, "room", 3, chat.RouteOpened, 0)
		second := sent(t, "room", 4, "id", "second")
		handle(f, first)
		handle(f, late, second)
		if got := out.take(); got != "" {
			t.Errorf("delivered %q", got)
		}
	})
	t.Run("a batch given again", func(t *testing.T) {
		f, _, out := setup(t)
		for range 2 {
			handle(f, open, first, second)
			if got := out.take(); got != "0:2" {
				t.Errorf("delivered %q", got)
			}
		}
	})
	t.Run("after a restart", func(t *testing.T) {
		store := pebbletest.Memory(t)
		if err := store.Events().Put(t.Context(), []chat.Event{first}); err != nil { // as persist does
			t.Fatal(err)
		}
		out := &sink{}
		f := over(store.Routes(), store.Events(), out)
		handle(f, open)
		handle(f, second)
		if got := out.take(); got != "" {
			t.Errorf("delivered %q", got)
		}
		handle(f, first) // by a rewound group
		if got := out.take(); got != "0:2" {
			t.Errorf("delivered %q", got)
		}
	})
	t.Run("what is another event", func(t *testing.T) {
		f, _, out := setup(t)
		other := sent(t, "other", 4, "id", "in another room")
		bob := sent(t, "room", 5, "id", "of somebody else")
		bob.Source = chat.SourceOf("bob")
		handle(f, open, route(t, "other", 1, chat.RouteOpened, 0), first, other, bob)
		if got := out.take(); got != "0:2 0:4 0:5" {
			t.Errorf("delivered %q", got)
		}
	})
}

// A store that is away delays deliveries, so that no repeat slips through.
func TestRepeatsWaitForTheStore(t *testing.T) {
	store := pebbletest.Memory(t)
	away := &awayEvents{stored: store.Events(), err: chat.Errorf(chat.Unavailable, "away")}
	out := &sink{}
	f := over(store.Routes(), away, out)
	batch := []chat.Event{route(t, "room", 1, chat.RouteOpened, 0), sent(t, "room", 2, "id", "text")}
	if err := f.HandleEvents(t.Context(), batch); !errors.Is(err, away.err) || chat.KindOf(err).Never() {
		t.Fatalf("got %v, want a retryable error", err)
	}
	if got := out.take(); got != "" {
		t.Errorf("delivered %q", got)
	}
	away.err = nil
	if err := f.HandleEvents(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if got := out.take(); got != "0:2" {
		t.Errorf("delivered %q", got)
	}
}

type stored = projection.Events

// awayEvents is a store that can be away.
type awayEvents struct {
	stored
	err error
}

func (a *awayEvents) Firsts(ctx context.Context, events []chat.Event) ([]chat.Sequence, error) {
	if a.err != nil && len(events) > 0 {
		return nil, a.err
	}
	return a.stored.Firsts(ctx, events)
}
