package connector

import (
	"context"
	"slices"
	"strings"

	"knatter.dev/chat"
)

// publisher says what of clients' events is logged, and how: those of sockets and those
// of HTTP.
type publisher struct {
	log        Log
	members    *members
	rules      *rules
	checker    *checker
	sent       *sent
	marks      *marks
	draining   func() bool
	frameBytes int
}

// prepare checks a client's event and stamps what is not the client's to say.
// The event has a sequence afterwards if it was acknowledged before: then it is not to
// be logged again, whatever has happened since. Errors: Invalid, Forbidden, Conflict,
// TooLarge, TooMany, Unavailable.
func (p *publisher) prepare(ctx context.Context, e *chat.Event, by author) error {
	if err := p.stamp(e, by.user); err != nil {
		return err
	}
	sequence, err := p.sent.known(by.user, e)
	if err != nil {
		return err
	}
	if e.Sequence = sequence; sequence != 0 {
		return nil
	}
	if err := p.permit(ctx, e, by); err != nil {
		return err
	}
	return p.rules.check(ctx, e, by)
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

// permit refuses an event of who is not a member of its room. Errors: Forbidden,
// Unavailable.
func (p *publisher) permit(ctx context.Context, e *chat.Event, by author) error {
	if by.member {
		return nil
	}
	m, err := p.members.Membership(ctx, e.Room, by.user)
	if err != nil && chat.KindOf(err) != chat.NotFound {
		return chat.Errorf(chat.Unavailable, "membership: %w", err)
	}
	if err != nil || !m.Active {
		return chat.Errorf(chat.Forbidden, "not a member of the room")
	}
	return nil
}

// appendAll logs a user's events in their order, and gives them their sequences; when one
// is against the rules none is logged. Errors: as prepare and
// [checker.check].
func (p *publisher) appendAll(ctx context.Context, events []chat.Event, by author) (err error) {
	var all, taken, fresh, sent []*chat.Event
	logging := false
	defer func() {
		if err != nil && !logging {
			p.rules.slow.release(by.user, taken...)
		}
	}()
	for i := range events {
		if events[i].Type.Signal() {
			return chat.Errorf(chat.Invalid, "signals are sent over a socket")
		}
		if err := p.prepare(ctx, &events[i], by); err != nil {
			return err
		}
		all = append(all, &events[i])
		if events[i].Sequence == 0 {
			taken = append(taken, &events[i])
		}
	}
	said := slices.Clone(events) // an event that is sent again is compared with what was said
	if err := p.checker.check(ctx, by.token, all...); err != nil {
		return err
	}
	for i, e := range all {
		if e.Sequence == 0 {
			fresh, sent = append(fresh, e), append(sent, &said[i])
		}
	}
	if p.draining() {
		return chat.Errorf(chat.Unavailable, "draining")
	}
	if err := p.sent.note(by.user, sent...); err != nil {
		return err
	}
	logging = true
	marks, others := split(fresh)
	if err := p.log.Append(ctx, others...); err != nil {
		return err
	}
	if err := p.mark(ctx, marks); err != nil { // behind what they may be about
		return err
	}
	for i, e := range fresh {
		e.Sequence = p.sent.acked(by.user, sent[i], e.Sequence)
	}
	return nil
}

// split tells read marks from other events.
func split(events []*chat.Event) (marks, others []*chat.Event) {
	for _, e := range events {
		if e.Type == chat.ReadAdvanced {
			marks = append(marks, e)
		} else {
			others = append(others, e)
		}
	}
	return marks, others
}

// mark logs read marks and gives each the sequence of the one that stands for it. Errors:
// Unavailable.
func (p *publisher) mark(ctx context.Context, events []*chat.Event) error {
	type answer struct {
		of  int
		at  chat.Sequence
		err error
	}
	answers := make(chan answer, len(events))
	for i, e := range events {
		own := *e // ours may be left before it is logged
		p.marks.add(&own, markAnswer{func() {}, func(at chat.Sequence, err error) { answers <- answer{i, at, err} }})
	}
	for range events {
		select {
		case a := <-answers:
			if a.err != nil {
				return a.err
			}
			events[a.of].Sequence = a.at
		case <-ctx.Done():
			return chat.Errorf(chat.Unavailable, "waiting for a read mark: %w", ctx.Err())
		}
	}
	return nil
}
