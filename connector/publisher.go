package connector

import (
	"context"
	"strings"

	"knatter.dev/chat"
)

// publisher says what of clients' events is logged, and how: those of sockets and those
// of HTTP.
type publisher struct {
	log        Log
	members    *members
	sent       *sent
	draining   func() bool
	frameBytes int
}

// prepare checks a client's event and stamps what is not the client's to say.
// member is true when the user is known to be in the room. The event has a
// sequence afterwards if it was acknowledged before: then it is not to be logged
// again, whatever has happened since. Errors: Invalid, Forbidden, Conflict,
// TooLarge, Unavailable.
func (p *publisher) prepare(ctx context.Context, e *chat.Event, user chat.UserID, member bool) error {
	if err := p.stamp(e, user); err != nil {
		return err
	}
	sequence, err := p.sent.known(user, e)
	if err != nil {
		return err
	}
	if e.Sequence = sequence; sequence != 0 {
		return nil
	}
	return p.permit(ctx, e, user, member)
}

// stamp checks what a client's event says, and says what is not the client's to say.
// Errors: as [chat.CheckSent], TooLarge.
func (p *publisher) stamp(e *chat.Event, user chat.UserID) error {
	if err := chat.CheckSent(e); err != nil {
		return err
	}
	for name := range e.Extensions {
		if strings.HasPrefix(name, "knative") { // what a source or a channel would say of the event
			delete(e.Extensions, name)
		}
	}
	e.Source, e.Stream, e.Time, e.Sequence = chat.SourceOf(user), e.Room.Stream(), chat.Now(), 0
	if !e.FrameWithin(p.frameBytes) { // what was sent may be shorter than what is delivered
		return chat.Errorf(chat.TooLarge, "as it would be delivered the event is over %d bytes", p.frameBytes)
	}
	return nil
}

// permit refuses an event of who is not a member of its room. member is true when the
// user is known to be one. Errors: Forbidden, Unavailable.
func (p *publisher) permit(ctx context.Context, e *chat.Event, user chat.UserID, member bool) error {
	if member {
		return nil
	}
	m, err := p.members.Membership(ctx, e.Room, user)
	if err != nil && chat.KindOf(err) != chat.NotFound {
		return chat.Errorf(chat.Unavailable, "membership: %w", err)
	}
	if err != nil || !m.Active {
		return chat.Errorf(chat.Forbidden, "not a member of the room")
	}
	return nil
}

// appendAll logs a user's events in their order, and gives them their sequences; when one
// is against the rules none is logged. Errors: as prepare, Unavailable.
func (p *publisher) appendAll(ctx context.Context, events []chat.Event, user chat.UserID) error {
	fresh := make([]*chat.Event, 0, len(events))
	for i := range events {
		if events[i].Type.Signal() {
			return chat.Errorf(chat.Invalid, "signals are sent over a socket")
		}
		if err := p.prepare(ctx, &events[i], user, false); err != nil {
			return err
		}
		if events[i].Sequence == 0 {
			fresh = append(fresh, &events[i])
		}
	}
	if p.draining() {
		return chat.Errorf(chat.Unavailable, "draining")
	}
	if err := p.sent.note(user, fresh...); err != nil {
		return err
	}
	if err := p.log.Append(ctx, fresh...); err != nil {
		return err
	}
	for _, e := range fresh {
		e.Sequence = p.sent.acked(user, e)
	}
	return nil
}
