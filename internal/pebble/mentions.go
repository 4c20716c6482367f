package pebble

import (
	"context"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

func mentionKey(room chat.RoomID, user chat.UserID, at chat.Sequence) []byte {
	return appendSequence(mentionPrefix(room, user), at)
}

func mentionPrefix(room chat.RoomID, user chat.UserID) []byte {
	key := appendName(nil, kindMention, room)
	key = append(key, user...)
	return append(key, 0)
}

// mention writes who is mentioned by a message now, other than was.
func mention(b *pebble.Batch, ev *chat.Event, was, now []chat.UserID) {
	room := ev.Stream.Room()
	for _, user := range was {
		if !slices.Contains(now, user) {
			_ = b.Delete(mentionKey(room, user, ev.Sequence), nil)
		}
	}
	for _, user := range now {
		if !slices.Contains(was, user) {
			_ = b.Set(mentionKey(room, user, ev.Sequence), []byte(ev.User()), nil)
		}
	}
}

// Mentions implements [chat.EventStore]: the mentions of the user and those of all are
// read side by side, up to the limit. Errors: Unavailable.
func (e *Events) Mentions(ctx context.Context, room chat.RoomID, user chat.UserID, r chat.Range) (n int, err error) {
	if !room.Valid() || !user.Valid() {
		return 0, nil
	}
	if err := e.s.enter(ctx); err != nil {
		return 0, err
	}
	defer e.s.leave()
	var rows []*eventRows
	for _, whom := range []chat.UserID{user, chat.Everyone} {
		var it *pebble.Iterator
		if it, err = e.s.iterateRange(ctx, mentionKey(room, whom, max(r.After, 0)+1), mentionEnd(room, whom, r)); err != nil {
			return 0, err
		}
		defer finish(it, &err)
		one := &eventRows{it: it, prefix: len(mentionPrefix(room, whom))}
		if err := one.move(); err != nil {
			return 0, err
		}
		rows = append(rows, one)
	}
	var last chat.Sequence
	for n < r.Limit {
		row := nearest(rows, false)
		if row == nil {
			break
		}
		sender, err := row.it.ValueAndErr()
		if err != nil {
			return 0, unavailable(err)
		}
		if row.at != last && string(sender) != string(user) && !slices.Contains(r.Except, row.at) {
			n++
			last = row.at
		}
		if err := row.move(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func mentionEnd(room chat.RoomID, whom chat.UserID, r chat.Range) []byte {
	if r.Before <= 0 {
		return after(mentionPrefix(room, whom))
	}
	return mentionKey(room, whom, max(r.Before, r.After+1))
}
