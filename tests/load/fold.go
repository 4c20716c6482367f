package main

import (
	"cmp"
	"fmt"
	"slices"
)

// state is what a receiver knows of a message. Of what is long it has a hash, which
// another process can compare.
type state struct {
	Sequence  int64  `json:"sequence"`
	Text      uint64 `json:"text,omitempty"`
	Reactions uint64 `json:"reactions,omitempty"` // sum of all: their order does not count
	Edited    bool   `json:"edited,omitempty"`
	Recalled  bool   `json:"recalled,omitempty"`
}

// folded is what a receiver knows of the last messages of its room, oldest first.
type folded []state

// hash is FNV-1a over the parts, each with a zero byte behind it. It is spelled out as
// it costs nothing so, and there is one for each copy that arrives.
func hash[T string | []byte](parts ...T) uint64 {
	h := uint64(14695981039346656037)
	for _, p := range parts {
		for i := range len(p) {
			h = (h ^ uint64(p[i])) * 1099511628211
		}
		h *= 1099511628211
	}
	return h
}

// last are those that are compared.
func (f folded) last() folded { return f[max(0, len(f)-recentMost):] }

// at returns what is known of a message, nil if it is not among the last.
func (f folded) at(sequence int64) *state {
	last := f.last()
	at, found := slices.BinarySearchFunc(last, sequence, func(s state, sequence int64) int { return cmp.Compare(s.Sequence, sequence) })
	if !found {
		return nil
	}
	return &last[at]
}

// add folds an event. It comes in the room's order, as the receiver checks otherwise.
func (f *folded) add(k kind, sequence int64, b []byte) {
	if k == posted {
		if len(*f) == 2*recentMost {
			*f = append((*f)[:0], f.last()...)
		}
		s := state{Sequence: sequence}
		if text := member(b, keyText); text != nil {
			s.Text = hash(text)
		} else {
			s.Recalled = true // before the receiver came back
		}
		*f = append(*f, s)
		return
	}
	s := f.at(sequenceOf(member(b, keyMessage)))
	if s == nil || s.Recalled {
		return
	}
	switch k {
	case edited:
		if text := member(b, keyText); text != nil {
			s.Text, s.Edited = hash(text), true
		}
	case recalled:
		*s = state{Sequence: s.Sequence, Recalled: true}
	case reacted:
		s.Reactions += hash(member(b, keyUser), member(b, keyEmoji))
	}
}

// agree counts the receivers of each room who do not know what the first one does, and
// says what that is.
func (w *worker) agree(tell func(known)) {
	rooms := len(w.rooms)
	for r := range rooms {
		first := w.known(r)
		for i := r + rooms; i < len(w.sockets); i += rooms {
			k := w.known(i)
			if !slices.Equal(k.Messages, first.Messages) || !slices.Equal(k.Marks, first.Marks) {
				w.checks.Differing++
				w.problem("in room %s receivers differ: %s", first.Room, difference(first, k))
			}
		}
		tell(first)
	}
}

func (w *worker) known(i int) known {
	k := known{Room: w.room(i), Messages: w.folded[i].last()}
	for _, from := range w.got[i] {
		k.Marks = append(k.Marks, from.mark)
	}
	return k
}

// difference says where two do not know the same.
func difference(a, b known) string {
	if len(a.Messages) != len(b.Messages) {
		return fmt.Sprintf("%d and %d messages", len(a.Messages), len(b.Messages))
	}
	for i := range a.Messages {
		if a.Messages[i] != b.Messages[i] {
			return fmt.Sprintf("%+v and %+v", a.Messages[i], b.Messages[i])
		}
	}
	return fmt.Sprintf("read marks %v and %v", a.Marks, b.Marks)
}
