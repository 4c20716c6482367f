package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/messages"
	"knatter.dev/chat/internal/priority"
	"knatter.dev/chat/internal/projection"
)

// page is a part of a room's history, oldest first, as it is now.
type page struct {
	events []chat.Event
	more   bool          // in the direction of the range
	upTo   chat.Sequence // what the room's events up to there say, and no later one
}

// read is EventStore.Events or EventStore.Messages.
type read func(context.Context, chat.RoomID, chat.Range) ([]chat.Event, bool, error)

const (
	attributes = 512 // bytes of an event's frame, or of a message, beside what weight counts
	escaped    = 6   // bytes that JSON may take for one
)

// turn calls do when it is its turn. Where the store is in this process it does so at a
// lower priority than messages on their way.
func (f *Function) turn(ctx context.Context, do func() error) error {
	return f.inTurn(ctx, func() error {
		if f.elsewhere {
			return do()
		}
		_, err := priority.Run(ctx, "a page", do)
		return err
	})
}

// inTurn calls do when it is its turn.
func (f *Function) inTurn(ctx context.Context, do func() error) error {
	select {
	case f.pages <- struct{}{}:
		defer func() { <-f.pages }()
	case <-ctx.Done():
		return chat.Errorf(chat.Unavailable, "waiting for other reads: %w", ctx.Err())
	}
	return do()
}

// assemble reads what the store has, and then from the log what the store may not have
// had yet: see [chat.Log.TailBehind]. What persist commits meanwhile is in both, and told
// apart by its sequence. Together they are the room at one place of its log.
//
// Of an event that was sent again only the first counts, wherever that is.
func (f *Function) assemble(ctx context.Context, look *messages.Look, ranges []chat.Range, stored read, wanted func(chat.Type) bool) (whole page, err error) {
	old := make([]page, len(ranges))
	tail, end, err := f.log.TailBehind(ctx, look.Room.Stream(), func(ctx context.Context) error {
		for i, r := range ranges {
			events, more, err := stored(ctx, look.Room, r)
			if err != nil {
				return fmt.Errorf("reading events: %w", err)
			}
			if err := look.Load(ctx, events); err != nil {
				return err
			}
			old[i] = page{events: events, more: more}
		}
		return nil
	})
	if err != nil {
		return page{}, err
	}
	// Repeats are looked for in all of the tail, the first one can be out of range.
	fresh, err := messages.Fresh(ctx, f.events, tail)
	if err != nil {
		return page{}, err
	}
	look.Fresh = fresh
	for i, r := range ranges {
		p, err := fill(ctx, look, r, old[i], wanted)
		if err != nil {
			return page{}, err
		}
		whole.events, whole.more = append(whole.events, p.events...), whole.more || p.more
	}
	whole.upTo = max(end-1, 0)
	return whole, nil
}

// fill makes a page of a range of what the store had of it and of what is fresh.
func fill(ctx context.Context, look *messages.Look, r chat.Range, old page, wanted func(chat.Type) bool) (page, error) {
	come := slices.DeleteFunc(slices.Clone(look.Fresh), func(e chat.Event) bool {
		return e.Sequence <= r.After || r.Before > 0 && e.Sequence >= r.Before || !wanted(e.Type)
	})
	// Between the last of a full page and the tail the store has more, which the page
	// must not pass over.
	if old.more && !r.Newest && len(look.Fresh) > 0 && old.events[len(old.events)-1].Sequence < look.Fresh[0].Sequence {
		come = nil
	}
	// Instead of a first that is still on its way the store can hold a repeat. To
	// drop it leaves no hole: the first and all that follows are in the tail.
	var firsts projection.Firsts
	firsts.Add(look.Fresh)
	all := slices.DeleteFunc(old.events, func(e chat.Event) bool { return firsts.Before(&e) })
	known := make(map[chat.Sequence]bool, len(all))
	for i := range all {
		known[all[i].Sequence] = true
	}
	for _, e := range come {
		if !known[e.Sequence] {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b chat.Event) int {
		if r.Newest {
			a, b = b, a
		}
		return cmp.Compare(a.Sequence, b.Sequence)
	})
	if err := look.Current(ctx, all); err != nil { // before the page is cut: a text can have become longer
		return page{}, err
	}
	p := cut(all, r)
	p.more = p.more || old.more
	if r.Newest {
		slices.Reverse(p.events)
	}
	return p, nil
}

// cut takes events, in the order of the range's direction, until the page is full.
func cut(all []chat.Event, r chat.Range) page {
	size := 0
	for i := range all {
		size += weight(&all[i])
		if i == r.Limit || i > 0 && size > r.Bytes {
			return page{events: all[:i], more: true}
		}
	}
	return page{events: all}
}

// weight is what the page takes as an answer, at most.
func (p *page) weight() int {
	n := attributes
	for i := range p.events {
		n += weight(&p.events[i])
	}
	return n
}

// weight is what an event takes in an answer, at most: its attributes and its data.
func weight(e *chat.Event) int {
	n := attributes + len(e.ID)*escaped + len(e.Data)
	for name, value := range e.Extensions {
		n += len(name) + len(value)*escaped + attributes
	}
	return n
}
