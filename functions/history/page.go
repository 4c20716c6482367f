package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/priority"
	"knatter.dev/chat/internal/projection"
)

// page is a part of a room's history, oldest first.
type page struct {
	events []chat.Event
	more   bool // in the direction of the range
}

// read is EventStore.Events or EventStore.Messages.
type read func(context.Context, chat.RoomID, chat.Range) ([]chat.Event, bool, error)

const (
	firstsAtOnce = 256 // events whose firsts are looked for together
	attributes   = 512 // bytes of an event's frame, or of a message, beside what weight counts
	escaped      = 6   // bytes that JSON may take for one
)

// page makes a page when it is its turn. Where the store is in this process it does so
// at a lower priority than messages on their way.
func (f *Function) page(ctx context.Context, room chat.RoomID, r chat.Range, stored read, wanted func(chat.Type) bool) (p page, err error) {
	select {
	case f.pages <- struct{}{}:
		defer func() { <-f.pages }()
	case <-ctx.Done():
		return page{}, chat.Errorf(chat.Unavailable, "waiting for other pages: %w", ctx.Err())
	}
	if f.elsewhere {
		return f.assemble(ctx, room, r, stored, wanted)
	}
	_, err = priority.Run(ctx, "a page", func() error {
		p, err = f.assemble(ctx, room, r, stored, wanted)
		return err
	})
	return p, err
}

// assemble reads from the log what the store may not hold yet, then from the store.
// In this order nothing falls between: what persist commits meanwhile is in both,
// and told apart by its sequence. What is logged meanwhile is left out, as the
// store may hold the later of two such events without the earlier, and who pages
// by sequence would never see that one.
//
// Of an event that was sent again only the first counts, wherever that is.
func (f *Function) assemble(ctx context.Context, room chat.RoomID, r chat.Range, stored read, wanted func(chat.Type) bool) (page, error) {
	tail, end, err := f.log.TailEnd(ctx, room.Stream())
	if err != nil {
		return page{}, err
	}
	if r.Before == 0 || r.Before > end {
		r.Before = end
	}
	if r.After+1 >= r.Before {
		return page{events: []chat.Event{}}, nil
	}

	// Repeats are looked for in all of the tail, the first one can be out of range.
	var firsts projection.Firsts
	firsts.Add(tail)
	fresh := slices.DeleteFunc(firsts.Events(), func(e chat.Event) bool {
		return e.Sequence <= r.After || e.Sequence >= r.Before || !wanted(e.Type)
	})

	old, more, err := stored(ctx, room, r)
	if err != nil {
		return page{}, fmt.Errorf("reading events: %w", err)
	}
	// Between the last of a full page and the tail the store has more, which the page
	// must not pass over.
	if more && !r.Newest && len(tail) > 0 && old[len(old)-1].Sequence < tail[0].Sequence {
		fresh = nil
	}
	known := make(map[chat.Sequence]bool, len(old))
	for i := range old {
		known[old[i].Sequence] = true
	}
	// Instead of a first that is still on its way the store can hold a repeat. To
	// drop it leaves no hole: the first and all that follows are in the tail.
	all := slices.DeleteFunc(old, func(e chat.Event) bool { return firsts.Before(&e) })
	for _, e := range fresh {
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

	p, err := f.cut(ctx, all, known, r)
	if err != nil {
		return page{}, err
	}
	p.more = p.more || more
	if r.Newest {
		slices.Reverse(p.events)
	}
	return p, nil
}

// cut takes events, in the order of the range's direction, until the page is full. Of
// those that the store was not known to have, repeats are left out.
func (f *Function) cut(ctx context.Context, all []chat.Event, known map[chat.Sequence]bool, r chat.Range) (page, error) {
	p := page{events: make([]chat.Event, 0, min(len(all), r.Limit))}
	size := 0
	for chunk := range slices.Chunk(all, firstsAtOnce) {
		unknown := slices.DeleteFunc(slices.Clone(chunk), func(e chat.Event) bool { return known[e.Sequence] })
		firsts, err := f.events.Firsts(ctx, unknown)
		if err != nil {
			return page{}, fmt.Errorf("looking for events' firsts: %w", err)
		}
		again := make(map[chat.Sequence]bool)
		for i := range unknown {
			again[unknown[i].Sequence] = firsts[i] != 0 && firsts[i] < unknown[i].Sequence
		}
		for i := range chunk {
			e := &chunk[i]
			if again[e.Sequence] {
				continue
			}
			size += weight(e)
			if len(p.events) == r.Limit || len(p.events) > 0 && size > r.Bytes {
				p.more = true
				return p, nil
			}
			p.events = append(p.events, *e)
		}
	}
	return p, nil
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
