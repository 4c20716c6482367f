package pebble

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// kept is an event that is to be stored.
type kept struct {
	event *chat.Event
	row   []byte
	about *projection.About // nil if it says nothing about a message

	identity []byte
	replaces chat.Sequence // the event that was sent again later and is stored; 0 if none is
}

// Put implements [chat.EventStore]. Errors: Invalid for an event that could not
// be read again, or says about a message what nobody can read; Conflict (nothing is
// stored then), Unavailable.
func (e *Events) Put(ctx context.Context, events []chat.Event) error {
	var c claims
	var moved moves
	all := make([]kept, len(events))
	for i := range events {
		ev := &events[i]
		moved.add(ev.Origin, ev.Sequence)
		if !ev.Kept() {
			continue
		}
		var err error
		if all[i], err = keptOf(ev); err != nil {
			return err
		}
		c.add(i, kindFirst, ev.Stream.Room(), ev.Source, ev.ID, ev.Sequence)
	}
	earliest := c.earliest()

	if err := e.s.enter(ctx); err != nil {
		return err
	}
	defer e.s.leave()
	e.mu.Lock()
	defer e.mu.Unlock()
	fresh, reads, err := e.fresh(ctx, earliest, all)
	if err != nil {
		return err
	}
	p, err := e.newPut(ctx, reads)
	if err != nil {
		return err
	}
	defer func() { e.blocks.change(p.changed) }() // when it is committed, or might be
	for _, k := range fresh {
		if err := p.put(k); err != nil {
			return errors.Join(err, p.close())
		}
	}
	e.marks.put(p.b, moved)
	if err := p.commit(); err != nil {
		return err
	}
	e.marks.keep(moved)
	return nil
}

// keptOf makes an event's rows. Errors: Invalid.
func keptOf(ev *chat.Event) (k kept, err error) {
	k.event = ev
	if k.row, err = eventRow(ev); err != nil {
		return k, err
	}
	about, ok, err := projection.AboutOf(ev)
	if err == nil && ok {
		k.about = &about
	}
	return k, err
}

// fresh are the events that count, as far as is known, and are not stored. It also
// reports whether storing them needs to read what it has written: the events are about
// messages, or replace others, which may be.
func (e *Events) fresh(ctx context.Context, earliest []claim, all []kept) (fresh []*kept, reads bool, err error) {
	it, err := e.s.points(ctx)
	if err != nil {
		return nil, false, err
	}
	defer finish(it, &err)
	fresh = make([]*kept, 0, len(earliest))
	for _, cl := range earliest {
		k := &all[cl.item]
		k.identity = cl.key
		if k.replaces, err = firstSequence(it, cl.key); err != nil {
			return nil, false, err
		}
		if k.replaces == 0 || k.replaces > k.event.Sequence {
			fresh = append(fresh, k)
			reads = reads || k.replaces != 0 || k.about != nil
		}
	}
	return fresh, reads, nil
}

// places are the places in rooms that a batch takes.
type places struct {
	s     *Store
	taken map[placeOfEvent]bool
}

type placeOfEvent struct {
	room     chat.RoomID
	sequence chat.Sequence
}

// take takes an event's place. Where another event has it, stored or of the batch,
// the log gave a sequence again: then it had lost what was logged before. Errors:
// Conflict, Unavailable.
func (p *places) take(ev *chat.Event) error {
	at := placeOfEvent{ev.Stream.Room(), ev.Sequence}
	taken := p.taken[at]
	for _, kind := range []byte{kindMessage, kindEvent} {
		row, ok, err := p.s.get(eventKey(nil, kind, ev.Stream.Room(), ev.Sequence))
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		_, frame, ok := splitEvent(row)
		other, err := chat.DecodeFrame(frame)
		if !ok || err != nil {
			return damaged(eventKey(nil, kind, ev.Stream.Room(), ev.Sequence))
		}
		taken = taken || other.Source != ev.Source || other.ID != ev.ID
	}
	if taken {
		return chat.Errorf(chat.Conflict, "sequence %s of the room is another event's: the log is behind the store", ev.Sequence)
	}
	if p.taken == nil {
		p.taken = make(map[placeOfEvent]bool)
	}
	p.taken[at] = true
	return nil
}

func firstSequence(it *pebble.Iterator, identity []byte) (chat.Sequence, error) {
	v, ok, err := find(it, identity)
	if err != nil || !ok {
		return 0, err
	}
	first, ok := sequence(v)
	if !ok {
		return 0, damaged(identity)
	}
	return first, nil
}

// erased is added to the first byte of the row of a message that is deleted.
const erased = 1 << 7

// eventRow is the event's row: the sender apart, so that counting the unread does
// not decode, then the frame. Errors: Invalid when the row could not be read
// again, since one such row would spoil every page that it is on.
func eventRow(e *chat.Event) ([]byte, error) {
	if !e.Stream.Room().Valid() || e.Sequence <= 0 {
		return nil, chat.Errorf(chat.Invalid, "the event has no room or no sequence")
	}
	sender := e.User()
	if !sender.Valid() {
		sender = ""
	}
	row := make([]byte, 0, 384+len(e.Data))
	row = append(row, byte(len(sender)))
	row = append(row, sender...)
	// It also refuses control characters, NUL among them, in what becomes part of
	// keys.
	if err := e.Check(); err != nil {
		return nil, err
	}
	return e.AppendFrame(row), nil
}

func splitEvent(value []byte) (sender, frame []byte, ok bool) {
	if len(value) == 0 {
		return nil, nil, false
	}
	n := 1 + int(value[0]&^erased)
	if len(value) < n {
		return nil, nil, false
	}
	return value[1:n], value[n:], true
}
