package main

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"knatter.dev/chat"
)

const (
	typingAhead = time.Second // from saying that one types to the message
	readPause   = time.Second // between two read marks of a user, as in the web client
	recentMost  = 100         // the last messages of a room: events are about these, and their states are compared
	targetTries = 8           // to find a message that nothing speaks against
)

// kind is what an event of the load is.
type kind uint8

const (
	posted kind = iota
	reacted
	edited
	recalled
	marked
	typing
	kinds
)

// kindNames are what the kinds are called in a report.
var kindNames = [kinds]string{"messages", "reactions", "edits", "recalls", "read marks", "typing"}

// types are the events' types without the prefix.
var types = [kinds]string{"message.posted", "reaction.added", "message.edited", "message.deleted", "read.advanced", "typing.started"}

// emoji are what people react with, fully qualified.
var emoji = []string{"👍", "🎉", "😂", "😮", "😢", "🙏"}

// series is a sender's events that are counted together: what a receiver gets of one
// comes once and in its order.
type series uint8

const (
	said    series = iota // messages, and what is about them
	marks                 // a later one may overtake another, which is not logged then
	signals               // may be dropped
)

func (k kind) series() series {
	switch k {
	case marked:
		return marks
	case typing:
		return signals
	}
	return said
}

// figures are what became of a phase's events of one kind.
type figures struct {
	counts  counts
	ack     *hdrhistogram.Histogram
	receipt *hdrhistogram.Histogram
}

func newPhase(s sending) phase {
	p := phase{sending: s}
	for k := range p.figures {
		p.figures[k] = figures{ack: newHistogram(), receipt: newHistogram()}
	}
	return p
}

// room is what the worker knows of a room, to send events about its messages.
type room struct {
	last   int64
	recent []*subject // oldest first, at most recentMost
}

// subject is a message that events can be about.
type subject struct {
	sequence  int64
	sender    uint32
	recalled  bool
	reactions int
}

// later is something that a user does at a time.
type later struct {
	socket int
	at     int64
}

// posted notes a message, when the first receiver gets it.
func (r *room) posted(sequence int64, sender uint32) {
	if sequence <= r.last {
		return
	}
	r.last = sequence
	if len(r.recent) == recentMost {
		copy(r.recent, r.recent[1:])
		r.recent = r.recent[:recentMost-1]
	}
	r.recent = append(r.recent, &subject{sequence: sequence, sender: sender})
}

// accompany sends, by chance, what goes with a message. It is about any of the last
// messages in any room.
func (w *worker) accompany(due int64) {
	l := &w.plan.Life
	if w.rnd.Float64() < l.Reactions {
		w.react(due)
	}
	if w.rnd.Float64() < l.Edits {
		if t := w.choose(); t != nil {
			w.about(int(t.sender), edited, t, due, `,"text":"`, w.writer.text(w.plan.TextBytes), `"`)
		}
	}
	if w.rnd.Float64() < l.Recalls {
		if t := w.choose(); t != nil {
			t.recalled = true
			w.about(int(t.sender), recalled, t, due)
		}
	}
}

// choose returns a message that is there and whose sender is, nil if none is found.
func (w *worker) choose() *subject {
	for range targetTries {
		recent := w.rooms[w.rnd.IntN(len(w.rooms))].recent
		if len(recent) == 0 {
			continue
		}
		if t := recent[w.rnd.IntN(len(recent))]; !t.recalled && w.sockets[t.sender].stage == live {
			return t
		}
	}
	return nil
}

// react adds a reaction that is not there yet: first of each member with one emoji,
// then with the next.
func (w *worker) react(due int64) {
	t := w.choose()
	if t == nil {
		return
	}
	members := w.members(int(t.sender))
	with := t.reactions / members
	who := int(t.sender)%len(w.rooms) + (t.reactions+int(t.sequence))%members*len(w.rooms)
	if with == len(emoji) || w.sockets[who].stage != live {
		return
	}
	t.reactions++
	w.about(who, reacted, t, due, `,"emoji":"`, emoji[with], `"`)
}

// about sends an event about a message.
func (w *worker) about(i int, k kind, t *subject, due int64, more ...string) {
	data := w.data[:0]
	data = append(data, `{"message":"`...)
	data = append(data, chat.Sequence(t.sequence).String()...)
	data = append(data, '"')
	for _, s := range more {
		data = append(data, s...)
	}
	data = append(data, '}')
	w.data = data
	w.publish(i, k, t, due)
}

// mark sends how far a user has read.
func (w *worker) mark(i int, t int64) {
	s := &w.sockets[i]
	s.reading = false
	if s.stage != live {
		return
	}
	w.data = append(append(append(w.data[:0], `{"upTo":"`...), chat.Sequence(s.seen).String()...), `"}`...)
	w.publish(i, marked, nil, t)
}

// saw has a receiver mark soon what it got.
func (w *worker) saw(i int, sequence, t int64) {
	s := &w.sockets[i]
	s.seen = max(s.seen, sequence)
	if w.plan.Life.Reads && !s.reading {
		s.reading = true
		w.marks = append(w.marks, later{i, t + int64(readPause)})
	}
}

// acknowledged notes how far a user's mark is, and reports whether that was one more event:
// those that a later one overtook are acknowledged with it.
func (s *socket) acknowledged(mark int64) (another bool) {
	another = mark > s.mark
	if another {
		s.mark = mark
		s.logged++
	}
	return another
}

// types says that a user does.
func (w *worker) types(i int, t int64) {
	if w.sockets[i].stage == live {
		w.data = w.data[:0]
		w.publish(i, typing, nil, t)
	}
}

// signalled checks a signal that a receiver got.
func (w *worker) signalled(i int, id ident, t int64) {
	if i == int(id.sender) {
		w.checks.Unexpected++
		return
	}
	w.received(typing, id.due, t-id.due)
}

// take returns the first of a list that is to be done by now, and removes it.
func take(list *[]later, t int64) (l later, ok bool) {
	if len(*list) == 0 || (*list)[0].at > t {
		return later{}, false
	}
	l = (*list)[0]
	*list = (*list)[1:]
	return l, true
}
