// Package members publishes changes of membership.
package members

import (
	"context"
	"fmt"
	"time"

	"knatter.dev/chat"
)

// publishTimeout limits the three steps of Publish together.
const publishTimeout = 10 * time.Second

// Publish publishes room and member events, which are events of rooms' own streams, in
// three steps: it appends them to the log; it applies them to the store, so that the
// caller's next request sees them; and it appends a copy of each member event to the
// stream of the user it is about, whose connectors then subscribe or unsubscribe.
// Because of this order, a connector that has opened the user's stream and then reads
// the store misses no change.
//
// Publish sets the events' sequences. Once begun, it does not stop when the caller
// gives up. After a crash behind the first step the persist function does the second,
// and repeating the request adds a missing copy; see [Notify]. Two concurrent changes
// of one thing are both logged, and the later one in the log counts everywhere; a
// caller to whom that matters checks what was logged between its check and its event.
//
// Errors: Unavailable from the log, those of the store.
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

// Notify appends a copy of each member event to the stream of the user it is about, and
// skips all other events. Repeating it is harmless: a copy is only the reason to look
// at the store.
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
		return fmt.Errorf("notifying users of a change: %w", err)
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
