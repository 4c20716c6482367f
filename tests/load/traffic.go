package main

import (
	"bytes"
	"slices"

	"knatter.dev/chat"
)

// text handles one event from the server.
func (w *worker) text(i int, b []byte, t int64) {
	s := &w.sockets[i]
	a := cutFrame(b)
	if a.kind < kinds {
		w.arrived(i, a, b, t)
		return
	}
	switch string(a.typ) {
	case string(typeAck):
		if m, ok := w.answered(i, a.id); ok {
			w.acked(i, &m, a.sequence, t)
		}
	case string(typeRefused):
		w.refused(i, a, b)
	case string(typeOpened):
		if len(w.plan.Rooms) == 0 {
			w.alive(i, t)
			return
		}
		after := ""
		if s.last > 0 {
			after = `,"after":"` + chat.Sequence(s.last).String() + `"`
		}
		w.write(i, appendFrame(nil, opText, []byte(`{"specversion":"1.0","id":"s","source":"/load","type":"dev.knatter.room.subscribe","data":{"rooms":[{"room":"`+string(w.room(i))+`"`+after+`}]}}`)))
	case string(typeSubscribed):
		if !bytes.Contains(b, []byte(`"complete":true`)) {
			w.problem("too much was missed to be sent again")
		}
		w.alive(i, t)
	}
}

// acked counts an ack.
func (w *worker) acked(i int, m *message, sequence, t int64) {
	s := &w.sockets[i]
	f := &w.phases[m.phase].figures[m.kind]
	f.counts.Acked++
	record(f.ack, t-max(m.due, s.since))
	expected := uint64(len(w.got[i]))
	if m.kind != marked {
		s.acked++
	} else if !s.acknowledged(sequence) {
		expected = 0
	}
	f.counts.Expected += expected
	if m.kind == posted {
		record(w.ack, t-max(m.due, s.since))
		w.counts.Acked++
		w.counts.Expected += expected
	}
}

// refused counts an error. It is none that a message was recalled before an event about
// it arrived.
func (w *worker) refused(i int, a arrived, b []byte) {
	m, ok := w.answered(i, a.id)
	if ok && m.about != nil && m.about.recalled && bytes.Contains(b, gone) {
		w.phases[m.phase].figures[m.kind].counts.Overtaken++
		return
	}
	w.problem("refused: %.300s", b)
	if !ok {
		return
	}
	w.sockets[i].refused++
	w.phases[m.phase].figures[m.kind].counts.Refused++
	if m.kind == posted {
		w.counts.Refused++
	}
}

// answered takes the event that an ack or an error is about off the list.
func (w *worker) answered(i int, id []byte) (message, bool) {
	s := &w.sockets[i]
	key, ok := parseIdent(id)
	if !ok {
		return message{}, false
	}
	at := slices.IndexFunc(s.unacked, func(m message) bool { return m.n == key.n && m.kind.series() == key.series })
	if at < 0 {
		return message{}, false
	}
	m := s.unacked[at]
	s.unacked = slices.Delete(s.unacked, at, at+1)
	return m, true
}

// alive sends what has waited for the session.
func (w *worker) alive(i int, t int64) {
	s := &w.sockets[i]
	s.stage = live
	w.lives++
	if w.lives == len(w.sockets) && w.cutAt > 0 && w.resumed == 0 {
		w.resumed = t - w.cutAt
	}
	s.unacked = slices.DeleteFunc(s.unacked, func(m message) bool { return m.kind == marked }) // there will be later ones
	for _, m := range s.unacked {
		s.resent = max(s.resent, m.n)
		w.write(i, m.frame)
	}
	for _, due := range s.waiting {
		w.post(i, max(due, s.since))
	}
	s.waiting = nil
}

// arrived checks an event that a receiver got.
func (w *worker) arrived(i int, a arrived, b []byte, t int64) {
	s := &w.sockets[i]
	id, ok := parseIdent(a.id)
	rooms := len(w.plan.Rooms)
	if !ok || id.series != a.kind.series() || int(id.sender) >= len(w.sockets) || int(id.sender)%rooms != i%rooms {
		w.checks.Unexpected++
		return
	}
	if a.kind == typing {
		w.signalled(i, id, t)
		return
	}
	if a.sequence <= s.last {
		w.checks.Disordered++
		w.problem("sequence %d after %d in room %s", a.sequence, s.last, w.room(i))
	}
	s.last = max(s.last, a.sequence)
	sender := &w.sockets[id.sender]
	from := &w.got[i][int(id.sender)/rooms]
	tally, resent := &from.said, sender.resent
	if a.kind == marked {
		tally, resent = &from.marks, 0
	}
	switch {
	case id.n > tally.last:
		tally.last = id.n
		tally.count++
	case id.n <= resent:
		w.checks.Resent++
		return
	case tally.count < tally.last:
		w.checks.Disordered++
		tally.count++
	default:
		w.checks.Doubled++
		return
	}
	latency := t - max(id.due, s.since)
	if id.n <= resent {
		latency = min(latency, t-sender.since)
	}
	w.received(a.kind, id.due, latency)
	if w.arrivals++; w.arrivals%verifyEach == 0 {
		if err := verify(b, a, w.room(i)); err != nil {
			w.checks.Unexpected++
			w.problem("%v", err)
		}
	}
	if w.plan.Life.any() {
		w.learn(i, a, b, id.sender, from, t)
	}
}

// received counts an event that a receiver got.
func (w *worker) received(k kind, due, latency int64) {
	if k == posted {
		record(w.receipt, latency)
		w.counts.Received++
	} else {
		w.counts.Others++
	}
	if p := w.phaseOf(due); p != nil {
		f := &p.figures[k]
		f.counts.Received++
		record(f.receipt, latency)
	}
}

// learn notes what an event says, for its receiver, and for what is to be sent.
func (w *worker) learn(i int, a arrived, b []byte, sender uint32, from *heard, t int64) {
	switch a.kind {
	case marked:
		from.mark = sequenceOf(member(b, keyUpTo))
		return
	case posted:
		w.rooms[i%len(w.rooms)].posted(a.sequence, sender)
		w.saw(i, a.sequence, t)
	}
	w.folded[i].add(a.kind, a.sequence, b)
}

// phaseOf is the phase in which something was due.
func (w *worker) phaseOf(due int64) *phase {
	for i := len(w.phases) - 1; i >= 0; i-- {
		if due >= w.phases[i].From {
			return &w.phases[i]
		}
	}
	return nil
}

// send sends what is due.
func (w *worker) send(t int64) {
	w.schedule(t)
	for l, ok := take(&w.soon, t); ok; l, ok = take(&w.soon, t) {
		if s := &w.sockets[l.socket]; s.stage != live {
			s.waiting = append(s.waiting, l.at)
			continue
		}
		w.post(l.socket, l.at)
	}
	for l, ok := take(&w.marks, t); ok; l, ok = take(&w.marks, t) {
		w.mark(l.socket, t)
	}
}

// ahead is how long before it posts a message a user is chosen for it.
func (w *worker) ahead() int64 {
	if w.plan.Life.Typing {
		return int64(typingAhead)
	}
	return 0
}

// schedule says which messages are due. Who writes is chosen by chance; so is, within
// the rate, the moment.
func (w *worker) schedule(t int64) {
	if w.current < 0 {
		return
	}
	p := &w.phases[w.current]
	for w.nextDue <= float64(t+w.ahead()) {
		if int64(w.nextDue) >= p.To {
			w.current = -1
			return
		}
		if p.Rate <= 0 {
			w.nextDue = float64(t) + 1e8
			return
		}
		due := int64(w.nextDue)
		w.nextDue += w.rnd.ExpFloat64() * 1e9 / p.Rate
		p.figures[posted].counts.Due++
		w.counts.Due++
		i := w.rnd.IntN(len(w.sockets))
		if w.plan.Life.Typing {
			w.types(i, t)
		}
		w.soon = append(w.soon, later{i, due})
	}
}

func (w *worker) post(i int, due int64) {
	data := w.data[:0]
	data = append(data, `{"text":"`...)
	data = append(data, w.writer.text(w.plan.TextBytes)...) // there is nothing in it to escape
	data = append(data, `"}`...)
	w.data = data
	w.publish(i, posted, nil, due)
	w.accompany(due)
}

// publish sends an event, with w.data as its data.
func (w *worker) publish(i int, k kind, about *subject, due int64) {
	s := &w.sockets[i]
	id := ident{sender: uint32(i), series: k.series(), due: due}
	n := [...]*uint32{said: &s.n, marks: &s.marks, signals: &s.typed}[id.series]
	*n++
	id.n = *n
	b := w.frame[:0]
	b = append(b, `{"specversion":"1.0","id":"`...)
	b = id.append(b)
	b = append(b, `","source":"/load","type":"dev.knatter.`...)
	b = append(b, types[k]...)
	b = append(b, `","subject":"`...)
	b = append(b, w.room(i)...)
	b = append(b, '"')
	if len(w.data) > 0 {
		b = append(append(b, `,"data":`...), w.data...)
	}
	b = append(b, '}')
	w.frame = b
	m := message{kind: k, n: id.n, due: due, about: about, frame: appendFrame(make([]byte, 0, len(w.frame)+8), opText, w.frame)}
	for m.phase = len(w.phases) - 1; m.phase > 0 && due < w.phases[m.phase].From; {
		m.phase--
	}
	c := &w.phases[m.phase].figures[k].counts
	c.Sent++
	switch k {
	case posted:
		w.counts.Sent++
	case typing: // is not acknowledged
		c.Due++
		c.Expected += uint64(len(w.got[i]) - 1)
		w.write(i, m.frame)
		return
	default:
		c.Due++
	}
	s.unacked = append(s.unacked, m)
	w.write(i, m.frame)
}

// complete reports whether every event was answered and every receiver has what
// was acknowledged.
func (w *worker) complete() bool {
	if len(w.soon) > 0 || len(w.marks) > 0 {
		return false
	}
	for i := range w.sockets {
		s := &w.sockets[i]
		if len(s.unacked) > 0 || len(s.waiting) > 0 {
			return false
		}
	}
	return w.lost() == 0
}

// lost counts what was acknowledged and did not arrive, by receiver.
func (w *worker) lost() uint64 {
	var lost uint64
	rooms := len(w.plan.Rooms)
	for r := range w.got {
		for at, from := range w.got[r] {
			sender := &w.sockets[r%rooms+at*rooms]
			lost += uint64(max(sender.acked, from.said.count) - from.said.count)
			lost += uint64(max(sender.logged, from.marks.count) - from.marks.count)
		}
	}
	return lost
}

func (w *worker) done() error {
	w.tick(now() + 1e9)
	w.checks.Lost = w.lost()
	for i := range w.sockets {
		w.checks.Unacked += uint64(len(w.sockets[i].unacked) + len(w.sockets[i].waiting))
	}
	for i := range w.phases {
		p := &w.phases[i]
		for k, f := range p.figures {
			if k > 0 && f.counts == (counts{}) {
				continue
			}
			if err := w.out.Encode(account{Kind: "phase", Phase: p.Name, What: kind(k), Counts: f.counts, Ack: encode(f.ack), Receipt: encode(f.receipt)}); err != nil {
				return err
			}
		}
	}
	if w.plan.Life.any() {
		w.agree(func(k known) { _ = w.out.Encode(account{Kind: "room", Room: &k}) })
	}
	return w.out.Encode(account{Kind: "done", Sockets: w.lives, Checks: w.checks, Problems: w.problems})
}
