// Package members makes membership changes true and known.
package members

import (
	"context"
	"fmt"
	"time"

	"knatter.dev/chat"
)

// publishTimeout bounds the three steps of Publish together.
const publishTimeout = 10 * time.Second

// Publish logs room and member events, which are of rooms' own streams, in three
// steps: it appends them to the log; it applies them to the store, so that the
// caller's next request sees them; and it appends a copy of each member event to
// the stream of the user it is about, whose connectors then subscribe or
// unsubscribe. In this order a connector that has opened the user's stream and
// then reads the store misses no change.
//
// It sets the events' sequences. Once begun it doesn't stop because the caller
// goes away. A crash after the first step is mended by the persist function, and a
// missing copy by doing the same again, see [Notify]. Two changes of one thing at
// the same time are both logged, and the later one in the log counts everywhere;
// whoever minds looks at what was logged between the check and the event.
//
// Errors: Unavailable from the log, the store's own.
func Publish(ctx context.Context, log chat.Log, rooms chat.RoomStore, events ...chat.Event) error {
	if len(events) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	if err := log.Append(ctx, pointers(events)...); err != nil {
		return fmt.Errorf("logging a change: %w", err)
	}
	if err := rooms.Apply(ctx, events); err != nil {
		return fmt.Errorf("applying a logged change: %w", err)
	}
	return Notify(ctx, log, events...)
}

// Notify appends a copy of each member event to the stream of the user it is
// about and passes over all other events. Doing it again is harmless: what counts
// is in the store, a copy is the reason to look there.
//
// Errors: Unavailable from the log.
func Notify(ctx context.Context, log chat.Log, events ...chat.Event) error {
	var copies []chat.Event
	for _, e := range events {
		if !e.Type.Member() {
			continue
		}
		var data chat.MemberData
		if err := e.Decode(&data); err != nil {
			return err
		}
		e.Stream = chat.StreamOf(data.User)
		e.Sequence = 0
		copies = append(copies, e)
	}
	if len(copies) == 0 {
		return nil
	}
	if err := log.Append(ctx, pointers(copies)...); err != nil {
		return fmt.Errorf("telling users of a change: %w", err)
	}
	return nil
}

func pointers(events []chat.Event) []*chat.Event {
	p := make([]*chat.Event, len(events))
	for i := range events {
		p[i] = &events[i]
	}
	return p
}
