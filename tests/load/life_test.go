package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"knatter.dev/chat"
)

// event is one of the log, as a receiver gets it.
func event(t *testing.T, at chat.Sequence, user chat.UserID, typ chat.Type, data any) []byte {
	t.Helper()
	e, err := chat.NewEvent(ident{n: uint32(at)}.String(), user, typ, "room", data)
	if err != nil {
		t.Fatal(err)
	}
	e.Sequence, e.Time = at, time.Now()
	return e.AppendFrame(nil)
}

func (i ident) String() string { return string(i.append(nil)) }

func TestFold(t *testing.T) {
	type said struct {
		user chat.UserID
		typ  chat.Type
		data any
	}
	about := chat.About{Message: 1}
	hi := said{"a", chat.MessagePosted, chat.Posted{Text: "hi"}}
	like := said{"b", chat.ReactionAdded, chat.Reaction{About: about, Emoji: "👍"}}
	laugh := said{"a", chat.ReactionAdded, chat.Reaction{About: about, Emoji: "😂"}}
	edit := said{"a", chat.MessageEdited, chat.Edited{About: about, Text: "ho"}}
	recall := said{"a", chat.MessageDeleted, about}
	reactions := hash("b", "👍") + hash("a", "😂")
	for _, c := range []struct {
		name string
		log  []said
		want state
	}{
		{"posted", []said{hi}, state{Text: hash("hi")}},
		{"two react", []said{hi, like, laugh}, state{Text: hash("hi"), Reactions: reactions}},
		{"in another order", []said{hi, laugh, like}, state{Text: hash("hi"), Reactions: reactions}},
		{"edited", []said{hi, like, edit, laugh}, state{Text: hash("ho"), Reactions: reactions, Edited: true}},
		{"recalled", []said{hi, like, edit, recall}, state{Recalled: true}},
		{"recalled, and then what was on its way", []said{hi, recall, like, edit}, state{Recalled: true}},
		{"recalled before the receiver came back", []said{{"a", chat.MessagePosted, map[string]bool{"deleted": true}}, like, edit, recall}, state{Recalled: true}},
	} {
		var f folded
		for i, s := range c.log {
			b := event(t, chat.Sequence(i+1), s.user, s.typ, s.data)
			a := cutFrame(b)
			f.add(a.kind, a.sequence, b)
		}
		c.want.Sequence = 1
		if len(f) != 1 || f[0] != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, f, c.want)
		}
	}
}

func TestFoldKeepsTheLastMessages(t *testing.T) {
	var f folded
	const most = 5*recentMost + 7
	for at := chat.Sequence(1); at <= most; at++ {
		f.add(posted, int64(at), event(t, at, "a", chat.MessagePosted, chat.Posted{Text: fmt.Sprint(at)}))
	}
	for about := chat.Sequence(1); about <= most; about++ {
		f.add(recalled, most+1, event(t, most+1, "a", chat.MessageDeleted, chat.About{Message: about}))
	}
	last := f.last()
	if len(last) != recentMost || last[0].Sequence != most-recentMost+1 || !last[0].Recalled || len(f) > 2*recentMost {
		t.Errorf("%d of %d, from %+v", len(last), len(f), last[0])
	}
	if f.at(most-recentMost) != nil {
		t.Error("older ones are known too")
	}
}

// lively is as testWorker, in the first phase of a profile with everything.
func lively(t *testing.T) *worker {
	t.Helper()
	w := testWorker(t)
	w.plan.Life = life{Reactions: 1, Edits: 1, Recalls: 1, Typing: true, Reads: true}
	return w
}

// posts is a message that all of its room get; its target is returned.
func (w *worker) posts(t *testing.T, sender int, sequence chat.Sequence) *subject {
	t.Helper()
	s := &w.sockets[sender]
	s.n++
	s.acked++
	b := event(t, sequence, "u", chat.MessagePosted, chat.Posted{Text: "hi"})
	id := ident{sender: uint32(sender), n: s.n, due: now()}.String()
	for r := sender % 2; r < len(w.sockets); r += 2 {
		w.arrived(r, arrived{kind: posted, id: []byte(id), sequence: int64(sequence)}, b, now())
	}
	recent := w.rooms[sender%2].recent
	return recent[len(recent)-1]
}

func TestReceiversThatDiffer(t *testing.T) {
	for name, all := range map[string]bool{"the same": true, "one missed an edit": false} {
		w := lively(t)
		w.posts(t, 0, 1)
		w.posts(t, 1, 1)
		b := event(t, 2, "u", chat.MessageEdited, chat.Edited{About: chat.About{Message: 1}, Text: "ho"})
		for i, r := range []int{0, 2, 4} {
			if i < 2 || all {
				w.folded[r].add(edited, 2, b)
			}
		}
		var told []known
		w.agree(func(k known) { told = append(told, k) })
		if want := uint64(1); all && w.checks.Differing != 0 || !all && w.checks.Differing != want {
			t.Errorf("%s: %d differ", name, w.checks.Differing)
		}
		if len(told) != 2 || !told[0].Messages[0].Edited || told[1].Messages[0].Edited {
			t.Errorf("%s: told %+v", name, told)
		}
	}
}

// Of a second's read marks the last is logged, and all are acknowledged with it.
func TestReadMarksMayBeOvertaken(t *testing.T) {
	w := lively(t)
	var frames []ident
	for n := range uint32(3) {
		w.publish(0, marked, nil, now())
		frames = append(frames, ident{series: marks, n: n + 1})
	}
	for i, at := range []int64{10, 20, 20} {
		w.text(0, fmt.Appendf(nil, `{"type":"dev.knatter.ack","data":{"event":"%s","sequence":"%016d"}}`, frames[i], at), now())
	}
	mark := func(r int, id ident, at chat.Sequence) {
		b := event(t, at, "u", chat.ReadAdvanced, chat.ReadData{UpTo: at - 1})
		w.arrived(r, arrived{kind: marked, id: id.append(nil), sequence: int64(at)}, b, now())
	}
	for _, r := range []int{0, 2} {
		mark(r, frames[0], 10)
		mark(r, frames[2], 20)
	}
	mark(4, frames[0], 10)
	if w.lost() != 1 || w.checks != (checks{}) || len(w.sockets[0].unacked) > 0 {
		t.Errorf("lost %d, %+v, %d unacked; want the second mark of one receiver", w.lost(), w.checks, len(w.sockets[0].unacked))
	}
	mark(4, frames[2], 20)
	if w.lost() != 0 || w.got[4][0].mark != 19 {
		t.Errorf("lost %d, mark %d", w.lost(), w.got[4][0].mark)
	}
	mark(4, frames[2], 30)
	if w.checks.Doubled+w.checks.Disordered != 1 {
		t.Errorf("twice is no fault: %+v", w.checks)
	}
}

// An event about a message that was recalled meanwhile is refused rightly.
func TestOvertakenByARecall(t *testing.T) {
	w := lively(t)
	s := w.posts(t, 0, 1)
	for n, recalled := range []bool{false, true} {
		w.sockets[2].stage = live
		w.about(2, reacted, s, now(), `,"emoji":"👍"`)
		s.recalled = recalled
		id := ident{sender: 2, n: uint32(n + 1), due: now()}
		w.text(2, fmt.Appendf(nil, `{"type":"dev.knatter.error","data":{"event":"%s","type":"about:blank","status":404}}`, id), now())
	}
	if c := w.phases[0].figures[reacted].counts; c.Refused != 1 || c.Overtaken != 1 {
		t.Errorf("%+v, want one refused and one overtaken", c)
	}
}

func TestSignalsMayBeDropped(t *testing.T) {
	w := lively(t)
	w.sockets[0].stage = live
	w.types(0, now())
	id := ident{series: signals, n: 1, due: now()}
	w.arrived(2, arrived{kind: typing, id: id.append(nil)}, nil, now())
	if c := w.phases[0].figures[typing].counts; c.Sent != 1 || c.Expected != 2 || c.Received != 1 || w.lost() != 0 || w.checks != (checks{}) {
		t.Errorf("%+v, lost %d, %+v", c, w.lost(), w.checks)
	}
	w.arrived(0, arrived{kind: typing, id: id.append(nil)}, nil, now())
	if w.checks.Unexpected != 1 {
		t.Errorf("one's own typing is no fault: %+v", w.checks)
	}
}

// Nobody reacts twice with the same emoji, and nothing is about what is recalled.
func TestReactionsAreNew(t *testing.T) {
	w := lively(t)
	for i := range w.sockets {
		w.sockets[i].stage = live
	}
	gone, s := w.posts(t, 0, 1), w.posts(t, 0, 2)
	gone.recalled = true
	for range 1000 {
		w.react(now())
	}
	seen := make(map[string]bool)
	for i := range w.sockets {
		for _, m := range w.sockets[i].unacked {
			f := m.frame
			if m.about != s {
				t.Fatal("about a message that is recalled")
			}
			seen[fmt.Sprint(i, string(member(f, keyEmoji)))] = true
		}
	}
	var sent int
	for i := range w.sockets {
		sent += len(w.sockets[i].unacked)
	}
	if want := 3 * len(emoji); sent != want || len(seen) != want {
		t.Errorf("%d sent, %d different, want %d", sent, len(seen), want)
	}
	if slices.ContainsFunc([]int{1, 3}, func(i int) bool { return len(w.sockets[i].unacked) > 0 }) {
		t.Error("somebody of another room reacted")
	}
}
