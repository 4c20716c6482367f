package projection

import (
	"cmp"
	"slices"

	"knatter.dev/chat"
)

// identity is what makes an event of a stream the same one when it is sent again.
type identity struct {
	stream     chat.StreamID
	source, id string
}

func identityOf(e *chat.Event) identity { return identity{e.Stream, e.Source, e.ID} }

// Firsts folds logged events into those that count: of each (stream, source, id) the
// one with the lowest sequence, however often and in whatever order they come. It is
// what [chat.EventStore] keeps, of the events that it may not have yet. Types that
// nobody sees are passed over. The zero value is ready to use.
type Firsts struct {
	events map[identity]*chat.Event
}

// Add adds events, which must not change any more.
func (f *Firsts) Add(events []chat.Event) {
	if f.events == nil {
		f.events = make(map[identity]*chat.Event, len(events))
	}
	for i := range events {
		e := &events[i]
		if !e.Kept() {
			continue
		}
		id := identityOf(e)
		if was := f.events[id]; was == nil || e.Sequence < was.Sequence {
			f.events[id] = e
		}
	}
}

// Before reports whether an event of e's identity that is before e has been added: e
// is sent again, then.
func (f *Firsts) Before(e *chat.Event) bool {
	first := f.events[identityOf(e)]
	return first != nil && first.Sequence < e.Sequence
}

// Events are those that count, oldest first.
func (f *Firsts) Events() []chat.Event {
	list := make([]chat.Event, 0, len(f.events))
	for _, e := range f.events {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b chat.Event) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return list
}
