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
	switch string(a.typ) {
	case string(typePosted):
		w.arrived(i, a, b, t)
	case string(typeAck):
		if m, ok := w.answered(i, a.id); ok {
			record(w.ack, t-max(m.due, s.since))
			record(w.phases[m.phase].ack, t-max(m.due, s.since))
			s.acked++
			expected := uint64(len(w.got[i]))
			w.counts.Acked++
			w.counts.Expected += expected
			w.phases[m.phase].counts.Acked++
			w.phases[m.phase].counts.Expected += expected
		}
	case string(typeRefused):
		w.problem("refused: %.300s", b)
		if m, ok := w.answered(i, a.id); ok {
			s.refused++
			w.counts.Refused++
			w.phases[m.phase].counts.Refused++
		}
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

// answered takes the message that an ack or an error is about off the list.
func (w *worker) answered(i int, id []byte) (message, bool) {
	s := &w.sockets[i]
	key, ok := parseIdent(id)
	if !ok {
		return message{}, false
	}
	at := slices.IndexFunc(s.unacked, func(m message) bool { return m.n == key.n })
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
	for _, m := range s.unacked {
		s.resent = max(s.resent, m.n)
		w.write(i, m.frame)
	}
	for _, due := range s.waiting {
		w.post(i, max(due, s.since))
	}
	s.waiting = nil
}

// arrived checks a message that a receiver got.
func (w *worker) arrived(i int, a arrived, b []byte, t int64) {
	s := &w.sockets[i]
	id, ok := parseIdent(a.id)
	rooms := len(w.plan.Rooms)
	if !ok || int(id.sender) >= len(w.sockets) || int(id.sender)%rooms != i%rooms {
		w.checks.Unexpected++
		return
	}
	if a.sequence <= s.last {
		w.checks.Disordered++
		w.problem("sequence %d after %d in room %s", a.sequence, s.last, w.room(i))
	}
	s.last = max(s.last, a.sequence)
	from := &w.got[i][int(id.sender)/rooms]
	switch {
	case id.n > from.last:
		from.last = id.n
		from.count++
	case id.n <= w.sockets[id.sender].resent:
		w.checks.Resent++
		return
	case from.count < from.last:
		w.checks.Disordered++
		from.count++
	default:
		w.checks.Doubled++
		return
	}
	sender := &w.sockets[id.sender]
	latency := t - max(id.due, s.since)
	if id.n <= sender.resent {
		latency = min(latency, t-sender.since)
	}
	record(w.receipt, latency)
	w.counts.Received++
	if p := w.phaseOf(id.due); p != nil {
		p.counts.Received++
		record(p.receipt, latency)
	}
	if w.received++; w.received%verifyEach == 0 {
		if err := verify(b, a, w.room(i)); err != nil {
			w.checks.Unexpected++
			w.problem("%v", err)
		}
	}
}

func (w *worker) phaseOf(due int64) *phase {
	for i := len(w.phases) - 1; i >= 0; i-- {
		if due >= w.phases[i].From {
			return &w.phases[i]
		}
	}
	return nil
}

// send posts the messages that are due. Who writes is chosen by chance; so is,
// within the rate, the moment.
func (w *worker) send(t int64) {
	if w.current < 0 {
		return
	}
	p := &w.phases[w.current]
	for w.nextDue <= float64(t) {
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
		p.counts.Due++
		w.counts.Due++
		i := w.rnd.IntN(len(w.sockets))
		if s := &w.sockets[i]; s.stage != live {
			s.waiting = append(s.waiting, due)
			continue
		}
		w.post(i, due)
	}
}

func (w *worker) post(i int, due int64) {
	s := &w.sockets[i]
	s.n++
	b := w.frame[:0]
	b = append(b, `{"specversion":"1.0","id":"`...)
	b = ident{sender: uint32(i), n: s.n, due: due}.append(b)
	b = append(b, `","source":"/load","type":"dev.knatter.message.posted","subject":"`...)
	b = append(b, w.room(i)...)
	b = append(b, `","data":{"text":"`...)
	b = append(b, w.writer.text(w.plan.TextBytes)...) // there is nothing in it to escape
	b = append(b, `"}}`...)
	w.frame = b
	m := message{n: s.n, due: due, frame: appendFrame(make([]byte, 0, len(b)+8), opText, b)}
	for m.phase = len(w.phases) - 1; m.phase > 0 && due < w.phases[m.phase].From; {
		m.phase--
	}
	s.unacked = append(s.unacked, m)
	w.counts.Sent++
	w.phases[m.phase].counts.Sent++
	w.write(i, m.frame)
}

// complete reports whether every message was answered and every receiver has what
// was acknowledged.
func (w *worker) complete() bool {
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
			if sender := &w.sockets[r%rooms+at*rooms]; sender.acked > from.count {
				lost += uint64(sender.acked - from.count)
			}
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
		if err := w.out.Encode(account{Kind: "phase", Phase: p.Name, Counts: p.counts, Ack: encode(p.ack), Receipt: encode(p.receipt)}); err != nil {
			return err
		}
	}
	return w.out.Encode(account{Kind: "done", Sockets: w.lives, Checks: w.checks, Problems: w.problems})
}
