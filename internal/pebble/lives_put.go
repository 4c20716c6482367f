package pebble

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// put is what one Put writes: all or nothing.
//
// Of a message there is a row of its life, and one for each reaction, into which events
// are merged in whatever order they come. From these two and the message's own row
// follow the others: which reactions stand, what is pinned, who is mentioned. What an
// event has said is taken back by making the same of all others about the message.
type put struct {
	e       *Events
	b       *pebble.Batch
	reads   bool             // b is indexed: what it has is seen
	points  *pebble.Iterator // of what is stored, if it does not read
	places  places
	changed []inRoom // messages that come, go or are deleted
	key     []byte
}

func (e *Events) newPut(ctx context.Context, reads bool) (*put, error) {
	p := &put{e: e, reads: reads, places: places{s: e.s}}
	if reads {
		p.b = e.s.db.NewIndexedBatch()
		return p, nil
	}
	var err error
	if p.points, err = e.s.points(ctx); err != nil {
		return nil, err
	}
	p.b = e.s.db.NewBatch()
	return p, nil
}

func (p *put) close() error {
	if p.points != nil {
		return errors.Join(p.points.Close(), p.b.Close())
	}
	return p.b.Close()
}

func (p *put) commit() error {
	if p.points != nil {
		if err := p.points.Close(); err != nil {
			return errors.Join(unavailable(err), p.b.Close())
		}
	}
	return p.e.s.commit(p.b, pebble.Sync)
}

func (p *put) put(k *kept) error {
	ev := k.event
	if p.e.marks.passed(ev.Origin, ev.Sequence) {
		if err := p.places.take(ev); err != nil {
			return err
		}
	}
	if k.replaces != 0 {
		if err := p.remove(ev.Stream.Room(), k.replaces); err != nil {
			return err
		}
	}
	p.key = appendSequence(p.key[:0], ev.Sequence)
	_ = p.b.Set(k.identity, p.key, nil)
	switch {
	case ev.Type == chat.MessagePosted:
		return p.post(ev, k.row)
	case k.about != nil:
		return p.tell(ev, k.row, k.about)
	}
	p.set(kindEvent, ev, k.row)
	return nil
}

func (p *put) set(kind byte, ev *chat.Event, row []byte) {
	p.key = eventKey(p.key[:0], kind, ev.Stream.Room(), ev.Sequence)
	_ = p.b.Set(p.key, row, nil)
}

// erase writes what stays of a message, or of an edit, when the message is deleted.
func (p *put) erase(kind byte, ev *chat.Event) error {
	gone := *ev
	projection.Erase(&gone)
	row, err := eventRow(&gone)
	if err != nil {
		return err
	}
	if kind == kindMessage {
		row[0] |= erased
	}
	p.set(kind, ev, row)
	return nil
}

// post puts a message, of which something may be known already.
func (p *put) post(ev *chat.Event, row []byte) error {
	room := ev.Stream.Room()
	life, err := p.life(room, ev.Sequence)
	if err != nil {
		return err
	}
	p.changed = append(p.changed, inRoom{room, ev.Sequence})
	mention(p.b, ev, nil, projection.Mentioned(ev, &life))
	if life.Deleted() {
		return p.erase(kindMessage, ev)
	}
	p.set(kindMessage, ev, row)
	return nil
}

// tell puts an event about a message.
func (p *put) tell(ev *chat.Event, row []byte, a *projection.About) error {
	_ = p.b.Set(aboutKey(a.Room, a.Message, ev.Sequence), []byte{typeByte(ev.Type)}, nil)
	if a.Reaction != nil {
		p.set(kindEvent, ev, row)
		was, err := p.toggle(a)
		if err != nil {
			return err
		}
		if now := was; now.Merge(&a.Reaction.Toggle) {
			p.setToggle(a, &was, &now)
		}
		return nil
	}
	was, err := p.life(a.Room, a.Message)
	if err != nil {
		return err
	}
	now := was
	changed := now.Merge(a.Life)
	if ev.Type == chat.MessageEdited && now.Deleted() {
		err = p.erase(kindEvent, ev)
	} else {
		p.set(kindEvent, ev, row)
	}
	if err != nil || !changed {
		return err
	}
	return p.setLife(a.Room, a.Message, &was, &now)
}

// Types of events about messages that matter by themselves.
const (
	otherAbout byte = iota
	editAbout
)

func typeByte(t chat.Type) byte {
	if t == chat.MessageEdited {
		return editAbout
	}
	return otherAbout
}

// remove takes an event away, and what it has said.
func (p *put) remove(room chat.RoomID, at chat.Sequence) error {
	for _, kind := range []byte{kindMessage, kindEvent} {
		ev, ok, err := p.stored(kind, room, at)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		_ = p.b.Delete(eventKey(nil, kind, room, at), nil)
		if kind == kindMessage {
			life, err := p.life(room, at)
			if err != nil {
				return err
			}
			mention(p.b, &ev, projection.Mentioned(&ev, &life), nil)
			p.changed = append(p.changed, inRoom{room, at})
			continue
		}
		a, ok, err := projection.AboutOf(&ev)
		if err != nil || !ok {
			continue // what nobody can read has said nothing
		}
		_ = p.b.Delete(aboutKey(room, a.Message, at), nil)
		if err := p.takeBack(&a); err != nil {
			return err
		}
	}
	return nil
}

// takeBack makes anew what an event was about that is gone. A deletion is final: what
// it has erased does not come back.
func (p *put) takeBack(a *projection.About) error {
	var life projection.Life
	var toggle projection.Toggle
	err := p.abouts(a.Room, a.Message, false, func(ev *chat.Event) error {
		other, ok, err := projection.AboutOf(ev)
		switch {
		case err != nil || !ok:
		case other.Life != nil:
			life.Merge(other.Life)
		case a.Reaction != nil && other.Reaction.User == a.Reaction.User && other.Reaction.Emoji == a.Reaction.Emoji:
			toggle.Merge(&other.Reaction.Toggle)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a.Reaction != nil {
		was, err := p.toggle(a)
		if err != nil {
			return err
		}
		p.setToggle(a, &was, &toggle)
		return nil
	}
	was, err := p.life(a.Room, a.Message)
	if err != nil {
		return err
	}
	if was.Deleted() && !life.Deleted() {
		life.Merge(&projection.Life{DeletedAt: was.DeletedAt})
	}
	return p.setLife(a.Room, a.Message, &was, &life)
}

// abouts calls f with the stored events about a message, or with the edits among them.
func (p *put) abouts(room chat.RoomID, message chat.Sequence, edits bool, f func(ev *chat.Event) error) error {
	prefix := eventKey(nil, kindAbout, room, message)
	var all []chat.Sequence
	it, err := p.b.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return unavailable(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		at, ok := sequence(it.Key()[len(prefix):])
		v, err := it.ValueAndErr()
		if err != nil || !ok || len(v) != 1 {
			return errors.Join(damaged(it.Key()), it.Close())
		}
		if !edits || v[0] == editAbout {
			all = append(all, at)
		}
	}
	if err := it.Close(); err != nil {
		return unavailable(err)
	}
	for _, at := range all {
		ev, ok, err := p.stored(kindEvent, room, at)
		if err != nil {
			return err
		}
		if !ok {
			return damaged(eventKey(nil, kindEvent, room, at))
		}
		if err := f(&ev); err != nil {
			return err
		}
	}
	return nil
}

// stored reads an event.
func (p *put) stored(kind byte, room chat.RoomID, at chat.Sequence) (ev chat.Event, ok bool, err error) {
	key := eventKey(nil, kind, room, at)
	row, ok, err := get(p.b, key)
	if err != nil || !ok {
		return ev, false, err
	}
	_, frame, ok := splitEvent(row)
	if ok {
		ev, err = chat.DecodeFrame(frame)
	}
	if !ok || err != nil {
		return ev, false, damaged(key)
	}
	return ev, true, nil
}

// life reads what is known of a message.
func (p *put) life(room chat.RoomID, message chat.Sequence) (life projection.Life, err error) {
	p.key = appendLifeKey(p.key[:0], room, message, 0)
	var row []byte
	if p.reads {
		row, _, err = get(p.b, p.key)
	} else {
		row, err = p.stands()
	}
	if err == nil && row != nil && json.Unmarshal(row, &life) != nil {
		err = damaged(p.key)
	}
	return life, err
}

// stands is the stored row of a life.
func (p *put) stands() ([]byte, error) {
	if !p.points.SeekPrefixGE(p.key) {
		if err := p.points.Error(); err != nil {
			return nil, unavailable(err)
		}
		return nil, nil
	}
	if string(p.points.Key()) != string(p.key) { // a reaction's
		return nil, nil
	}
	row, err := p.points.ValueAndErr()
	if err != nil {
		return nil, unavailable(err)
	}
	return row, nil
}

// setLife writes a life, and what follows from it.
func (p *put) setLife(room chat.RoomID, message chat.Sequence, was, now *projection.Life) error {
	if was.Pin.Since() != now.Pin.Since() {
		if was.Pin.On() {
			_ = p.b.Delete(eventKey(nil, kindPinned, room, was.Pin.Since()), nil)
		}
		if now.Pin.On() {
			_ = p.b.Set(eventKey(nil, kindPinned, room, now.Pin.Since()), appendSequence(nil, message), nil)
		}
	}
	key := lifeKey(room, message, 0)
	if now.Zero() {
		_ = p.b.Delete(key, nil)
	} else if err := setJSON(p.b, key, now); err != nil {
		return err
	}
	if was.EditedAt == now.EditedAt && was.Deleted() == now.Deleted() {
		return nil
	}
	ev, ok, err := p.stored(kindMessage, room, message)
	if err != nil {
		return err
	}
	if ok {
		mention(p.b, &ev, projection.Mentioned(&ev, was), projection.Mentioned(&ev, now))
	}
	if !now.Deleted() {
		return nil
	}
	if ok {
		p.changed = append(p.changed, inRoom{room, message})
		if err := p.erase(kindMessage, &ev); err != nil {
			return err
		}
	}
	return p.abouts(room, message, true, func(ev *chat.Event) error { return p.erase(kindEvent, ev) })
}
