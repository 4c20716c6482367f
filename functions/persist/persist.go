// Package persist is the function that makes the log's events lasting: it follows
// the log and keeps history, rooms, members and read positions.
package persist

import (
	"context"
	"fmt"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/serve"
)

// Spec declares the function.
var Spec = function.Spec{
	Name:    chat.Persist.Name,
	Summary: "Writes events to the stores: history, rooms, members and read marks. It takes events by POST /.",
	// Batched, so that concurrent requests share a commit.
	Events: func(d function.Deps) chat.Handler { return serve.NewBatcher(New(d)) },
}

// Function stores rooms' events. It is stateless: what it does twice, or in
// another order, leaves the same behind.
type Function struct {
	events chat.EventStore
	rooms  chat.RoomStore
}

var _ chat.Handler = (*Function)(nil)

// New returns the function.
func New(d function.Deps) *Function { return &Function{events: d.Events, rooms: d.Rooms} }

// HandleEvents implements [chat.Handler]. Errors: Invalid for an event that no
// reader could make anything of; the stores' own.
//
// The rooms come before the history. Should the process end between the two, the
// event is handled again, so both hold it in the end; until then a removal is
// already in force that history does not show yet, never the other way round.
// And an event that the rooms refuse for good is not in the history either.
func (f *Function) HandleEvents(ctx context.Context, events []chat.Event) error {
	kept := make([]chat.Event, 0, len(events))
	var changes []chat.Event
	for _, e := range events {
		if e.Stream.Own() || !chat.Persist.Handles(e.Type) {
			continue
		}
		if e.Type == chat.MessagePosted {
			if err := e.Decode(new(chat.Posted)); err != nil {
				return err
			}
		} else if !e.Type.About() {
			changes = append(changes, e)
		}
		kept = append(kept, e)
	}
	if len(changes) > 0 {
		if err := f.rooms.Apply(ctx, changes); err != nil {
			return fmt.Errorf("applying %d events to rooms: %w", len(changes), err)
		}
	}
	if len(kept) > 0 {
		if err := f.events.Put(ctx, kept); err != nil {
			return fmt.Errorf("storing %d events: %w", len(kept), err)
		}
	}
	return nil
}
