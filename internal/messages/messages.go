// Package messages shows a room's messages as they are now: with what happened to them
// after they were posted, with what the log has and the stores may not have yet.
package messages

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
	"knatter.dev/chat/internal/view"
)

// Look is a look of one user at one room's messages.
type Look struct {
	Events projection.Events
	Rooms  projection.Rooms
	Room   chat.RoomID
	User   chat.UserID

	// Receipts is up to how many active members the room shows by how many of them a message
	// is unread.
	Receipts int

	// Fresh are those of the room's events that the stores may not have yet, oldest
	// first, each once: see [Fresh]. They may be in the stores already.
	Fresh []chat.Event

	stored map[chat.Sequence]*projection.State // what the store has, of the messages that it was asked for
	states map[chat.Sequence]*projection.State // with what is fresh
}

// Fresh returns those events of a room's tail that count: of an event that was sent again
// the first alone, wherever that is. They are in their order.
func Fresh(ctx context.Context, events chat.EventStore, tail []chat.Event) ([]chat.Event, error) {
	var firsts projection.Firsts
	firsts.Add(tail)
	return fresh(ctx, events, firsts.Events())
}

// FreshFor is Fresh without the events that don't matter for checking others. It keeps
// repeats of the checked events, the messages they are about, what happened to those
// messages, and pins. In a busy room that is a small part of the tail.
func FreshFor(ctx context.Context, events chat.EventStore, tail []chat.Event, checked []chat.Event) ([]chat.Event, error) {
	if len(tail) == 0 {
		return nil, nil
	}
	ids, about := make(map[string]bool, len(checked)), make(map[chat.Sequence]bool, len(checked))
	for i := range checked {
		e := &checked[i]
		ids[e.ID] = true
		if e.Type != chat.MessagePosted {
			about[e.About()] = true
		} else if d := new(chat.Posted); e.Decode(d) == nil {
			about[d.ReplyTo] = true
		}
	}
	delete(about, 0)
	var firsts projection.Firsts
	firsts.Add(tail)
	return fresh(ctx, events, slices.DeleteFunc(firsts.Events(), func(e chat.Event) bool {
		pin := e.Type == chat.MessagePinned || e.Type == chat.MessageUnpinned
		return !pin && !ids[e.ID] && !about[e.Sequence] && !about[e.About()]
	}))
}

// fresh returns those of a tail's firsts that are first in the store, too.
func fresh(ctx context.Context, events chat.EventStore, fresh []chat.Event) ([]chat.Event, error) {
	if len(fresh) == 0 {
		return nil, nil
	}
	stored, err := events.Firsts(ctx, fresh)
	if err != nil {
		return nil, fmt.Errorf("looking for events' firsts: %w", err)
	}
	counting := fresh[:0]
	for i, e := range fresh {
		if stored[i] == 0 || stored[i] >= e.Sequence {
			counting = append(counting, e)
		}
	}
	return counting, nil
}

// Load reads from the store what happened to the messages that events post or edit. What
// is read once is not read again.
func (l *Look) Load(ctx context.Context, events []chat.Event) error {
	wanted := make([]chat.Sequence, 0, len(events))
	for i := range events {
		if m := subject(&events[i]); m != 0 {
			wanted = append(wanted, m)
		}
	}
	return l.load(ctx, wanted)
}

func (l *Look) load(ctx context.Context, messages []chat.Sequence) error {
	if l.stored == nil {
		l.stored = make(map[chat.Sequence]*projection.State)
		l.states = make(map[chat.Sequence]*projection.State)
	}
	var unknown []chat.Sequence
	for _, m := range messages {
		if _, known := l.stored[m]; !known {
			l.stored[m] = nil
			unknown = append(unknown, m)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	states, err := l.Events.Lives(ctx, l.Room, unknown)
	if err != nil {
		return fmt.Errorf("reading what happened to messages: %w", err)
	}
	maps.Copy(l.stored, states)
	return nil
}

// States returns what happened to messages since they were posted; nothing for those to
// which nothing did.
func (l *Look) States(ctx context.Context, messages []chat.Sequence) (map[chat.Sequence]*projection.State, error) {
	unknown := slices.DeleteFunc(slices.Clone(messages), func(m chat.Sequence) bool { _, known := l.states[m]; return known })
	if len(unknown) == 0 {
		return l.states, nil
	}
	posted := make(map[chat.Sequence]bool) // of these all that happened is fresh too
	for i := range l.Fresh {
		posted[l.Fresh[i].Sequence] = l.Fresh[i].Type == chat.MessagePosted
	}
	if err := l.load(ctx, slices.DeleteFunc(slices.Clone(unknown), func(m chat.Sequence) bool { return posted[m] })); err != nil {
		return nil, err
	}
	states := make(map[chat.Sequence]*projection.State, len(unknown))
	for _, m := range unknown {
		states[m] = l.stored[m]
	}
	projection.FoldLives(states, l.Fresh)
	maps.Copy(l.states, states)
	return l.states, nil
}

// subject is the message that an event posts or edits, 0 if it does neither.
func subject(e *chat.Event) chat.Sequence {
	switch e.Type {
	case chat.MessagePosted:
		return e.Sequence
	case chat.MessageEdited:
		return e.About()
	}
	return 0
}

// At returns the posted messages of some sequences, oldest first.
func (l *Look) At(ctx context.Context, messages []chat.Sequence) ([]chat.Event, error) {
	messages = slices.Compact(slices.Sorted(slices.Values(messages)))
	if len(messages) == 0 {
		return nil, nil
	}
	var posted []chat.Event
	for _, e := range l.Fresh {
		if _, wanted := slices.BinarySearch(messages, e.Sequence); wanted && e.Type == chat.MessagePosted {
			posted = append(posted, e)
		}
	}
	stored, err := l.Events.At(ctx, l.Room, messages)
	if err != nil {
		return nil, fmt.Errorf("reading messages: %w", err)
	}
	// Instead of a first that is on its way the store may have a repeat for a moment: it is
	// no message then. The fresh ones are known to be firsts.
	for _, e := range stored {
		if !slices.ContainsFunc(posted, func(f chat.Event) bool { return f.Sequence == e.Sequence || f.Source == e.Source && f.ID == e.ID }) {
			posted = append(posted, e)
		}
	}
	slices.SortFunc(posted, func(a, b chat.Event) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return posted, nil
}

// Views shows posted messages, in their order. Those that are not to be shown are left
// out.
func (l *Look) Views(ctx context.Context, posted []chat.Event) ([]view.Message, error) {
	list, err := l.Plain(ctx, posted)
	if err != nil {
		return nil, err
	}
	if err := l.quote(ctx, list); err != nil {
		return nil, err
	}
	if err := l.readers(ctx, list); err != nil {
		return nil, err
	}
	return list, l.name(ctx, list)
}

// readers says by how many members messages are unread, where the room shows that.
func (l *Look) readers(ctx context.Context, list []view.Message) error {
	if l.Receipts == 0 || len(list) == 0 {
		return nil
	}
	counts, err := l.Rooms.Counts(ctx, []chat.RoomID{l.Room})
	if err != nil {
		return fmt.Errorf("counting members: %w", err)
	}
	if counts[l.Room] > l.Receipts {
		return nil
	}
	now := projection.Rooms{States: projection.Over(l.Rooms.States, func(chat.StreamID) []chat.Event { return l.Fresh })}
	members, err := now.Members(ctx, l.Room)
	if err != nil {
		return fmt.Errorf("listing members: %w", err)
	}
	reading := projection.ReadingOf(members)
	if reading.Members() > l.Receipts {
		return nil
	}
	for i := range list {
		if m := &list[i]; !m.Deleted {
			n := reading.UnreadBy(m.Sequence, m.User)
			m.UnreadBy = &n
		}
	}
	return nil
}

// Plain is as Views, without names and quotes.
func (l *Look) Plain(ctx context.Context, posted []chat.Event) ([]view.Message, error) {
	sequences := make([]chat.Sequence, len(posted))
	for i := range posted {
		sequences[i] = posted[i].Sequence
	}
	states, err := l.States(ctx, sequences)
	if err != nil {
		return nil, err
	}
	list := make([]view.Message, 0, len(posted))
	for i := range posted {
		if m, ok := view.MessageOf(&posted[i], states[posted[i].Sequence], l.User); ok {
			list = append(list, m)
		}
	}
	return list, nil
}

// quote adds what messages reply to.
func (l *Look) quote(ctx context.Context, list []view.Message) error {
	var wanted []chat.Sequence
	for i := range list {
		if m := &list[i]; m.ReplyTo > 0 && !m.Deleted {
			wanted = append(wanted, m.ReplyTo)
		}
	}
	posted, err := l.At(ctx, wanted)
	if err != nil {
		return err
	}
	states, err := l.States(ctx, wanted)
	if err != nil {
		return err
	}
	quotes := make(map[chat.Sequence]view.Message, len(posted))
	for i := range posted {
		if m, ok := view.MessageOf(&posted[i], states[posted[i].Sequence], l.User); ok {
			quotes[m.Sequence] = m
		}
	}
	for i := range list {
		m := &list[i]
		if q, ok := quotes[m.ReplyTo]; ok && !m.Deleted {
			m.Quoted = view.QuoteOf(&q)
		}
	}
	return nil
}

// name sets the nicknames, which are the users' in the room and stay known when they have
// left.
func (l *Look) name(ctx context.Context, list []view.Message) error {
	known := make(map[chat.UserID]string)
	of := func(user chat.UserID) (string, error) {
		nickname, ok := known[user]
		if ok {
			return nickname, nil
		}
		m, err := l.Rooms.Membership(ctx, l.Room, user)
		if err != nil && chat.KindOf(err) != chat.NotFound {
			return "", fmt.Errorf("reading a membership: %w", err)
		}
		known[user] = m.Nickname
		return m.Nickname, nil
	}
	for i := range list {
		m := &list[i]
		var err error
		if m.Nickname, err = of(m.User); err != nil {
			return err
		}
		if m.Quoted == nil {
			continue
		}
		if m.Quoted.Nickname, err = of(m.Quoted.User); err != nil {
			return err
		}
	}
	return nil
}

// Pins shows the pinned messages, latest pinned first.
func (l *Look) Pins(ctx context.Context) ([]view.Message, error) {
	pinned, err := projection.OverPinned(ctx, l.Events, l.Room, l.Fresh)
	if err != nil {
		return nil, fmt.Errorf("reading what is pinned: %w", err)
	}
	posted, err := l.At(ctx, pinned)
	if err != nil {
		return nil, err
	}
	list, err := l.Views(ctx, posted)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b view.Message) int {
		return cmp.Compare(slices.Index(pinned, b.Sequence), slices.Index(pinned, a.Sequence))
	})
	return list, nil
}

// Current makes events say what is so now: of a message that was edited the current text,
// of a deleted one none, whether it is the posting or an edit that would say something
// else. Events that don't are not changed.
func (l *Look) Current(ctx context.Context, events []chat.Event) error {
	var wanted []chat.Sequence
	for i := range events {
		if m := subject(&events[i]); m != 0 {
			wanted = append(wanted, m)
		}
	}
	states, err := l.States(ctx, wanted)
	if err != nil {
		return err
	}
	for i := range events {
		e := &events[i]
		state := states[subject(e)]
		if state == nil || !state.Deleted() && (!state.Replaced() || state.EditedAt == e.Sequence) {
			continue
		}
		if state.Deleted() {
			projection.Erase(e)
		} else if e.Data, err = current(e, state); err != nil {
			return err
		}
	}
	return nil
}

// current is what the data of a posting or an edit that was replaced is to say now.
func current(e *chat.Event, state *projection.State) (json.RawMessage, error) {
	var d struct {
		Message     chat.Sequence   `json:"message,omitzero"`
		Text        string          `json:"text"`
		ReplyTo     chat.Sequence   `json:"replyTo,omitzero"`
		Mentions    []chat.UserID   `json:"mentions,omitempty"`
		Attachments json.RawMessage `json:"attachments,omitempty"`
	}
	if err := e.Decode(&d); err != nil {
		return nil, err
	}
	d.Text, d.Mentions = state.Text, state.Mentions
	return chat.Marshal(d)
}
