package pebble

import (
	"knatter.dev/chat/internal/projection"
)

func reactionKey(a *projection.About) []byte {
	key := eventKey(nil, kindReaction, a.Room, a.Message)
	key = append(key, a.Reaction.User...)
	key = append(key, 0)
	return append(key, a.Reaction.Emoji...)
}

// toggleIn is what a reaction's row has.
func toggleIn(row []byte) (t projection.Toggle, ok bool) {
	if len(row) == 0 || len(row)%8 != 0 {
		return t, false
	}
	t.Removed, _ = sequence(row)
	for row = row[8:]; len(row) > 0; row = row[8:] {
		added, _ := sequence(row)
		t.Added = append(t.Added, added)
	}
	return t, true
}

// toggle reads a reaction.
func (p *put) toggle(a *projection.About) (projection.Toggle, error) {
	key := reactionKey(a)
	row, ok, err := get(p.b, key)
	if err != nil || !ok {
		return projection.Toggle{}, err
	}
	t, ok := toggleIn(row)
	if !ok {
		return t, damaged(key)
	}
	return t, nil
}

// setToggle writes a reaction, and whether it stands.
func (p *put) setToggle(a *projection.About, was, now *projection.Toggle) {
	if was.Since() != now.Since() {
		if was.On() {
			_ = p.b.Delete(lifeKey(a.Room, a.Message, was.Since()), nil)
		}
		if now.On() {
			standing := appendName(nil, 0, a.Reaction.User)[1:]
			_ = p.b.Set(lifeKey(a.Room, a.Message, now.Since()), append(standing, a.Reaction.Emoji...), nil)
		}
	}
	row := appendSequence(nil, now.Removed)
	for _, s := range now.Added {
		row = appendSequence(row, s)
	}
	_ = p.b.Set(reactionKey(a), row, nil)
}
