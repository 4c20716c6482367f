package history

import (
	"context"
	"fmt"
	"slices"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/messages"
)

// shown is a page of the events that a user sees. In a large room the others' read marks
// are not among them, so what is asked for may be far apart; still a page is empty only if
// there is no more.
func (f *Function) shown(ctx context.Context, look *messages.Look, r chat.Range) (p page, err error) {
	others := func(e chat.Event) bool { return e.Type == chat.ReadAdvanced && e.User() != look.User }
	limit := r.Limit
	for large := false; ; r.Limit = maxEvents {
		now := *look
		err := f.turn(ctx, func() (err error) {
			p, err = f.assemble(ctx, &now, []chat.Range{r}, f.events.Events, func(t chat.Type) bool { return !t.Hidden() })
			return err
		})
		if err != nil {
			return p, err
		}
		f.rates.read(look.User, p.weight())
		if !large && slices.ContainsFunc(p.events, others) {
			counts, err := f.rooms.Counts(ctx, []chat.RoomID{look.Room})
			if err != nil {
				return p, fmt.Errorf("counting members: %w", err)
			}
			large = counts[look.Room] > f.most
		}
		if !large {
			return p, nil
		}
		first, last := p.events[0].Sequence, p.events[len(p.events)-1].Sequence
		if p.events = slices.DeleteFunc(p.events, others); len(p.events) > 0 || !p.more {
			p.cut(limit, r.Newest)
			return p, nil
		}
		if r.Newest {
			r.Before = first
		} else {
			r.After = last
		}
	}
}

// cut leaves so many events, those at which the page begins.
func (p *page) cut(limit int, newest bool) {
	if over := len(p.events) - limit; over > 0 && newest {
		p.events, p.more = p.events[over:], true
	} else if over > 0 {
		p.events, p.more = p.events[:limit], true
	}
}
