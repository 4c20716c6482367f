// Package fanout is the function that passes each event to the connectors that
// have subscribers of its room. It follows each partition in order.
package fanout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/function"
)

// Spec declares the function.
var Spec = function.Spec{
	Name:     chat.Fanout.Name,
	Summary:  "Passes each event to the connectors that have subscribers of its room. It takes events by POST /.",
	Needs:    function.Needs{Log: true},
	Settings: (*function.Config).ReceiptSettings,
	Events:   func(d function.Deps) chat.Handler { return New(d) },
}

// Function delivers events, and keeps the routes by which it does so.
type Function struct {
	routes  chat.RouteStore
	lookups *lookups // of routes
	repeats *repeats
	sizes   *sizes // of rooms
	out     chat.Deliverer
}

var _ chat.Handler = (*Function)(nil)

// New returns the function.
func New(d function.Deps) *Function {
	return &Function{routes: d.Routes, lookups: newLookups(d.Routes), repeats: newRepeats(d.Events), sizes: newSizes(d.Rooms, d.Config.ReceiptsMembers), out: d.Deliverer}
}

// signalLife is how old a signal may be to be delivered: later it is of no use.
const signalLife = 10 * time.Second

// HandleEvents implements [chat.Handler]. A change of a route counts from its
// place in the batch on: the events before it are delivered by the old routes.
//
// The batch is delivered before the changes are stored. Thus, when it is given
// again after a failure, what comes before a route.closed still reaches the
// connector that was then about to close.
//
// An old batch given again is delivered by the routes of now, changed by its own
// old changes, which the store then ignores. That is harmless: what connectors get
// again they drop by its sequence, and what a connector doesn't get had its place
// before the route.opened that counts now, so it is history to all subscribers
// there.
//
// An event that was logged before with the same source and id is delivered to
// nobody: see [repeats].
//
// Errors: Invalid for a route event whose data cannot be read, Unavailable from
// the log, the store's own.
func (f *Function) HandleEvents(ctx context.Context, events []chat.Event) error {
	routes, err := f.lookUp(ctx, events)
	if err != nil {
		return fmt.Errorf("looking up routes: %w", err)
	}
	again, err := f.repeats.among(ctx, events, watched(events, routes))
	if err != nil {
		return fmt.Errorf("looking for repeats: %w", err)
	}
	f.sizes.note(events)
	var deliveries []chat.Delivery
	var changes []chat.RouteChange
	for i := range events {
		e := &events[i]
		if e.Type == chat.RouteOpened || e.Type == chat.RouteClosed {
			change, err := routeChange(e)
			if err != nil {
				return err
			}
			if change.Connector < 0 {
				continue // the event that begins each partition of the log
			}
			changes = append(changes, change)
			routes[e.Stream] = changed(routes[e.Stream], change)
			continue
		}
		connectors := routes[e.Stream]
		if len(connectors) == 0 || again[i] || e.Type.Signal() && time.Since(e.Time) > signalLife {
			continue
		}
		var only chat.UserID
		if e.Type == chat.ReadAdvanced {
			if only, err = f.sizes.readers(ctx, e); err != nil {
				return fmt.Errorf("counting members: %w", err)
			}
		}
		frame := e.AppendFrame(nil)
		for _, c := range connectors {
			deliveries = append(deliveries, chat.Delivery{Connector: c, Stream: e.Stream, Sequence: e.Sequence, Type: e.Type, Only: only, Frame: frame})
		}
	}
	if len(deliveries) > 0 {
		if err := f.out.Deliver(ctx, deliveries); err != nil {
			return fmt.Errorf("delivering: %w", err)
		}
	}
	if len(changes) > 0 {
		if err := f.routes.Apply(ctx, changes); err != nil {
			return fmt.Errorf("storing routes: %w", err)
		}
	}
	return nil
}

// watched returns a function that reports whether an event of the batch can have a
// receiver: its stream has a route, or gets one within the batch.
func watched(events []chat.Event, routes map[chat.StreamID][]int) func(*chat.Event) bool {
	var opened map[chat.StreamID]bool
	for i := range events {
		if events[i].Type == chat.RouteOpened {
			if opened == nil {
				opened = make(map[chat.StreamID]bool)
			}
			opened[events[i].Stream] = true
		}
	}
	return func(e *chat.Event) bool { return len(routes[e.Stream]) > 0 || opened[e.Stream] }
}

// lookUp reads the routes of all streams in a batch.
func (f *Function) lookUp(ctx context.Context, events []chat.Event) (map[chat.StreamID][]int, error) {
	streams := make([]chat.StreamID, len(events))
	for i := range events {
		streams[i] = events[i].Stream
	}
	slices.Sort(streams)
	return f.lookups.connectors(ctx, slices.Compact(streams))
}

func routeChange(e *chat.Event) (chat.RouteChange, error) {
	var data chat.RouteData
	if err := e.Decode(&data); err != nil {
		return chat.RouteChange{}, err
	}
	return chat.RouteChange{Stream: e.Stream, Connector: data.Connector, Open: e.Type == chat.RouteOpened, Sequence: e.Sequence, Origin: e.Origin}, nil
}

// changed is the connectors of a stream after a change.
func changed(connectors []int, c chat.RouteChange) []int {
	at := slices.Index(connectors, c.Connector)
	switch {
	case c.Open && at < 0:
		return append(slices.Clip(connectors), c.Connector)
	case !c.Open && at >= 0:
		return slices.Concat(connectors[:at], connectors[at+1:])
	}
	return connectors
}
