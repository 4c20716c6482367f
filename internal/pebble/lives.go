package pebble

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// appendLifeKey appends the key of a message's life, or with a sequence of the reaction
// that stands since then.
func appendLifeKey(dst []byte, room chat.RoomID, message, since chat.Sequence) []byte {
	return appendSequence(eventKey(dst, kindLife, room, message), since)
}

func lifeKey(room chat.RoomID, message, since chat.Sequence) []byte {
	return appendLifeKey(nil, room, message, since)
}

func aboutKey(room chat.RoomID, message, at chat.Sequence) []byte {
	return appendSequence(eventKey(nil, kindAbout, room, message), at)
}

// Lives implements [projection.Lives]: one iterator goes over the rows of the messages,
// in their order. Errors: Unavailable.
func (e *Events) Lives(ctx context.Context, room chat.RoomID, messages []chat.Sequence) (states map[chat.Sequence]*projection.State, err error) {
	states = make(map[chat.Sequence]*projection.State)
	messages = ordered(messages)
	if !room.Valid() || len(messages) == 0 {
		return states, nil
	}
	if err := e.s.enter(ctx); err != nil {
		return nil, err
	}
	defer e.s.leave()
	prefix := appendName(nil, kindLife, room)
	it, err := e.s.iterateRange(ctx, lifeKey(room, messages[0], 0), lifeKey(room, messages[len(messages)-1]+1, 0))
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	r := &lifeRows{it: it, prefix: len(prefix)}
	for ok := it.First(); ok && len(messages) > 0; {
		at, valid := sequence(it.Key()[r.prefix:])
		if !valid {
			return nil, damaged(it.Key())
		}
		for len(messages) > 0 && messages[0] < at {
			messages = messages[1:]
		}
		if len(messages) == 0 {
			break
		}
		if messages[0] > at {
			ok = it.SeekGE(lifeKey(room, messages[0], 0))
			continue
		}
		if states[at], ok, err = r.state(at); err != nil {
			return nil, err
		}
	}
	return states, nil
}

// lifeRows steps through the rows of lives and the reactions that stand.
type lifeRows struct {
	it     *pebble.Iterator
	prefix int // length of the key in front of the message's sequence
}

// state reads the rows of the message that the iterator is at, and reports whether
// there is another one behind them.
func (r *lifeRows) state(at chat.Sequence) (s *projection.State, ok bool, err error) {
	s = new(projection.State)
	of := bytes.Clone(r.it.Key()[:r.prefix+8])
	for ok = true; ok && bytes.HasPrefix(r.it.Key(), of); ok = r.it.Next() {
		since, valid := sequence(r.it.Key()[len(of):])
		row, err := r.it.ValueAndErr()
		if err != nil {
			return nil, false, unavailable(err)
		}
		if since == 0 {
			if json.Unmarshal(row, &s.Life) != nil {
				return nil, false, damaged(of)
			}
			if s.Deleted() { // it has lost its reactions
				return s, r.it.SeekGE(after(of)), nil
			}
			continue
		}
		user, emoji, found := bytes.Cut(row, []byte{0})
		if !valid || !found {
			return nil, false, damaged(of)
		}
		s.Reactions = append(s.Reactions, projection.Reaction{
			User: chat.UserID(user), Emoji: string(emoji), Toggle: projection.Toggle{Added: []chat.Sequence{since}},
		})
	}
	return s, ok, nil
}

// Pinned implements [projection.Lives]. Errors: Unavailable.
func (e *Events) Pinned(ctx context.Context, room chat.RoomID) (messages []chat.Sequence, err error) {
	if !room.Valid() {
		return nil, nil
	}
	if err := e.s.enter(ctx); err != nil {
		return nil, err
	}
	defer e.s.leave()
	it, err := e.s.iterate(ctx, appendName(nil, kindPinned, room))
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		row, err := it.ValueAndErr()
		if err != nil {
			return nil, unavailable(err)
		}
		message, ok := sequence(row)
		if !ok {
			return nil, damaged(it.Key())
		}
		messages = append(messages, message)
	}
	return messages, nil
}
