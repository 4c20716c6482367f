package pebble

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// Events is the event store.
type Events struct {
	s     *Store
	mu    sync.Mutex // rows are read, changed and written
	marks marks

	blocks *blocks
}

var _ projection.Events = (*Events)(nil)

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

// At implements [chat.EventStore]: one iterator goes from one to the next. Errors:
// Unavailable.
func (e *Events) At(ctx context.Context, room chat.RoomID, messages []chat.Sequence) (events []chat.Event, err error) {
	messages = ordered(messages)
	if !room.Valid() || len(messages) == 0 {
		return nil, nil
	}
	if err := e.s.enter(ctx); err != nil {
		return nil, err
	}
	defer e.s.leave()
	from, to := bounds(kindMessage, room, messages[0]-1, messages[len(messages)-1]+1)
	it, err := e.s.iterateRange(ctx, from, to)
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	rows := &eventRows{it: it}
	var key []byte
	for _, m := range messages {
		key = eventKey(key[:0], kindMessage, room, m)
		if !it.SeekGE(key) {
			break
		}
		if !bytes.Equal(it.Key(), key) {
			continue
		}
		frame, err := rows.frame()
		if err != nil {
			return nil, err
		}
		ev, err := rows.event(frame)
		if err != nil {
			return nil, err
		}
		events = append(events, ev)
	}
	return events, nil
}

// ordered are sequences in their order, each once.
func ordered(sequences []chat.Sequence) []chat.Sequence {
	sequences = slices.DeleteFunc(slices.Clone(sequences), func(s chat.Sequence) bool { return s <= 0 })
	slices.Sort(sequences)
	return slices.Compact(sequences)
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
