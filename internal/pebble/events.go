package pebble

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// Events is the event store.
type Events struct {
	s     *Store
	mu    sync.Mutex // first sequences are read, then written
	marks marks

	blocks *blocks
}

var _ chat.EventStore = (*Events)(nil)

// Put implements [chat.EventStore]. Errors: Invalid for an event that could not
// be read again, Conflict (nothing is stored then), Unavailable.
func (e *Events) Put(ctx context.Context, events []chat.Event) (err error) {
	var c claims
	var moved moves
	rows := make([][]byte, len(events))
	for i := range events {
		ev := &events[i]
		moved.add(ev.Origin, ev.Sequence)
		if !ev.Kept() {
			continue
		}
		if rows[i], err = eventRow(ev); err != nil {
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
	it, err := e.s.points(ctx)
	if err != nil {
		return err
	}
	defer finish(it, &err)
	b := e.s.db.NewBatch()
	places := places{s: e.s}
	var changed []inRoom                        // messages that come or go
	defer func() { e.blocks.change(changed) }() // when it is committed, or might be
	var key, value []byte
	for _, cl := range earliest {
		ev := &events[cl.item]
		first, err := firstSequence(it, cl.key)
		if err != nil {
			return errors.Join(err, b.Close())
		}
		if first != 0 && first <= ev.Sequence {
			continue
		}
		if e.marks.passed(ev.Origin, ev.Sequence) {
			if err := places.take(ev); err != nil {
				return errors.Join(err, b.Close())
			}
		}
		if ev.Type == chat.MessagePosted {
			changed = append(changed, inRoom{ev.Stream.Room(), ev.Sequence})
		}
		if first != 0 {
			changed = append(changed, inRoom{ev.Stream.Room(), first})
			for _, kind := range []byte{kindMessage, kindEvent} {
				key = eventKey(key[:0], kind, ev.Stream.Room(), first)
				_ = b.Delete(key, nil)
			}
		}
		value = appendSequence(value[:0], ev.Sequence)
		_ = b.Set(cl.key, value, nil)
		key = eventKey(key[:0], kindOf(ev.Type), ev.Stream.Room(), ev.Sequence)
		_ = b.Set(key, rows[cl.item], nil)
	}
	e.marks.put(b, moved)
	if err := e.s.commit(b, pebble.Sync); err != nil {
		return err
	}
	e.marks.keep(moved)
	return nil
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

func kindOf(t chat.Type) byte {
	if t == chat.MessagePosted {
		return kindMessage
	}
	return kindEvent
}

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
	if len(value) == 0 || len(value) <= int(value[0]) {
		return nil, nil, false
	}
	n := 1 + int(value[0])
	return value[1:n], value[n:], true
}

// Events implements [chat.EventStore]. Errors: Invalid without a limit,
// Unavailable.
func (e *Events) Events(ctx context.Context, room chat.RoomID, r chat.Range) ([]chat.Event, bool, error) {
	return e.page(ctx, room, r, kindMessage, kindEvent)
}

// Messages implements [chat.EventStore]. Errors: as Events.
func (e *Events) Messages(ctx context.Context, room chat.RoomID, r chat.Range) ([]chat.Event, bool, error) {
	return e.page(ctx, room, r, kindMessage)
}

// page reads a range of the rows of some kinds, merged by sequence.
func (e *Events) page(ctx context.Context, room chat.RoomID, r chat.Range, kinds ...byte) (events []chat.Event, more bool, err error) {
	if r.Limit <= 0 {
		return nil, false, chat.Errorf(chat.Invalid, "limit must be positive")
	}
	if !room.Valid() {
		return nil, false, nil
	}
	if err := e.s.enter(ctx); err != nil {
		return nil, false, err
	}
	defer e.s.leave()
	rows := make([]*eventRows, 0, len(kinds))
	for _, kind := range kinds {
		from, to := bounds(kind, room, r.After, r.Before)
		var it *pebble.Iterator
		if it, err = e.s.iterateRange(ctx, from, to); err != nil {
			return nil, false, err
		}
		defer finish(it, &err)
		rows = append(rows, &eventRows{it: it, prefix: len(from) - 8, back: r.Newest})
	}
	for _, row := range rows {
		if err := row.move(); err != nil {
			return nil, false, err
		}
	}
	size := 0
	for {
		row := nearest(rows, r.Newest)
		if row == nil {
			break
		}
		frame, err := row.frame()
		if err != nil {
			return nil, false, err
		}
		size += len(frame)
		if len(events) == r.Limit || r.Bytes > 0 && len(events) > 0 && size > r.Bytes {
			more = true
			break
		}
		ev, err := row.event(frame)
		if err != nil {
			return nil, false, err
		}
		events = append(events, ev)
		if err := row.move(); err != nil {
			return nil, false, err
		}
	}
	if r.Newest {
		slices.Reverse(events)
	}
	return events, more, nil
}

// bounds are the keys of the sequences between two, both exclusive; before 0
// means no bound.
func bounds(kind byte, room chat.RoomID, after, before chat.Sequence) (from, to []byte) {
	from = eventKey(nil, kind, room, max(after, 0)+1)
	if before <= 0 {
		before = 1<<63 - 1
	}
	to = eventKey(nil, kind, room, max(before, after+1))
	return from, to
}

// eventRows steps through the rows of one kind.
type eventRows struct {
	it     *pebble.Iterator
	prefix int // length of the key in front of the sequence
	back   bool
	begun  bool
	at     chat.Sequence // 0 at the end
}

func (r *eventRows) move() error {
	var ok bool
	switch {
	case !r.begun && r.back:
		ok = r.it.Last()
	case !r.begun:
		ok = r.it.First()
	case r.back:
		ok = r.it.Prev()
	default:
		ok = r.it.Next()
	}
	r.begun = true
	r.at = 0
	if !ok {
		if err := r.it.Error(); err != nil {
			return unavailable(err)
		}
		return nil
	}
	if r.at, ok = sequence(r.it.Key()[r.prefix:]); !ok {
		return damaged(r.it.Key())
	}
	return nil
}

// frame is the row's frame, which is good until the rows move.
func (r *eventRows) frame() ([]byte, error) {
	v, err := r.it.ValueAndErr()
	if err != nil {
		return nil, unavailable(err)
	}
	_, frame, ok := splitEvent(v)
	if !ok {
		return nil, damaged(r.it.Key())
	}
	return frame, nil
}

func (r *eventRows) event(frame []byte) (chat.Event, error) {
	e, err := chat.DecodeFrame(frame)
	if err != nil {
		return chat.Event{}, damaged(r.it.Key())
	}
	return e, nil
}

// nearest is the rows that come next in the direction of reading, nil at the end.
func nearest(rows []*eventRows, back bool) *eventRows {
	var best *eventRows
	for _, r := range rows {
		if r.at != 0 && (best == nil || (r.at < best.at) != back) {
			best = r
		}
	}
	return best
}

// scanBatch is how many events Scan passes on at once.
const scanBatch = 256

// Scan implements [chat.EventStore]. Errors: Unavailable.
func (e *Events) Scan(ctx context.Context, f func([]chat.Event) error) error {
	if err := e.s.enter(ctx); err != nil {
		return err
	}
	defer e.s.leave()
	for _, kind := range []byte{kindMessage, kindEvent} {
		if err := e.scan(ctx, kind, f); err != nil {
			return err
		}
	}
	return nil
}

func (e *Events) scan(ctx context.Context, kind byte, f func([]chat.Event) error) (err error) {
	it, err := e.s.iterate(ctx, []byte{kind})
	if err != nil {
		return err
	}
	defer finish(it, &err)
	rows := &eventRows{it: it}
	batch := make([]chat.Event, 0, scanBatch)
	for ok := it.First(); ok; ok = it.Next() {
		frame, err := rows.frame()
		if err != nil {
			return err
		}
		event, err := rows.event(frame)
		if err != nil {
			return err
		}
		if !chat.Index.Handles(event.Type) {
			continue
		}
		if batch = append(batch, event); len(batch) == scanBatch {
			if err := f(batch); err != nil {
				return err
			}
			batch = make([]chat.Event, 0, scanBatch)
		}
	}
	if err := it.Error(); err != nil {
		return unavailable(err)
	}
	if len(batch) > 0 {
		return f(batch)
	}
	return nil
}

// Firsts implements [chat.EventStore]. Errors: Unavailable.
func (e *Events) Firsts(ctx context.Context, events []chat.Event) (firsts []chat.Sequence, err error) {
	firsts = make([]chat.Sequence, len(events))
	if len(events) == 0 {
		return firsts, nil
	}
	if err := e.s.enter(ctx); err != nil {
		return nil, err
	}
	defer e.s.leave()
	it, err := e.s.points(ctx)
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	var key []byte
	for i := range events {
		ev := &events[i]
		key = identityKey(key[:0], kindFirst, ev.Stream.Room(), ev.Source, ev.ID)
		if firsts[i], err = firstSequence(it, key); err != nil {
			return nil, err
		}
	}
	return firsts, nil
}
