package connector

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"knatter.dev/chat"
)

// markEvery is how often a user's read mark of one room is logged, at most.
const markEvery = time.Second

// marks log read marks: of each user in each room at most one in markEvery, over all of
// the user's sockets and requests. Those that come sooner wait, and the highest of them is
// logged for all, whether or not their senders are still there. A mark that goes back is
// not logged at all.
type marks struct {
	ctx     context.Context
	log     Log
	reached func(chat.StreamID) chat.Sequence // up to where a room is known to have events

	mu       sync.Mutex
	at       map[marker]*mark
	busy     int  // marks that are not answered yet
	draining bool // none waits any more
}

// marker is who marks what.
type marker struct {
	user chat.UserID
	room chat.RoomID
}

// mark is a user's latest in a room.
type mark struct {
	logged   time.Time     // when one was last handed to the log
	upTo     chat.Sequence // the highest that is in the log
	sequence chat.Sequence // of the event that says so
	waiting  *waitingMark
}

// waitingMark is the highest of the marks that wait.
type waitingMark struct {
	event   *chat.Event
	upTo    chat.Sequence
	answers []markAnswer
	timer   *time.Timer
}

// markAnswer is called once for each mark, from any goroutine: it must not block. logging
// comes before, when the mark does not wait any more.
type markAnswer struct {
	logging func()
	logged  func(at chat.Sequence, err error)
}

func newMarks(ctx context.Context, log Log, reached func(chat.StreamID) chat.Sequence) *marks {
	return &marks{ctx: ctx, log: log, reached: reached, at: make(map[marker]*mark)}
}

// add logs a mark, now or later. The event must not change any more.
func (m *marks) add(e *chat.Event, answer markAnswer) {
	var data chat.ReadData
	if err := e.Decode(&data); err != nil {
		answer.logging()
		answer.logged(0, err)
		return
	}
	m.mu.Lock()
	m.busy++
	m.mu.Unlock()
	m.enter(e, data.UpTo, answer, false)
}

// enter is add; cut says that the mark is not beyond what the room had when it came.
func (m *marks) enter(e *chat.Event, upTo chat.Sequence, answer markAnswer, cut bool) {
	key := marker{e.User(), e.Room}
	m.mu.Lock()
	at := m.at[key]
	if at == nil {
		at = new(mark)
		m.at[key] = at
	}
	one := &waitingMark{event: e, upTo: upTo, answers: []markAnswer{answer}}
	wait := markEvery - time.Since(at.logged)
	switch {
	case at.sequence != 0 && upTo <= at.upTo:
		m.mu.Unlock()
		m.answer(one.answers, at.sequence, nil)
	case at.waiting == nil && (wait <= 0 || m.draining):
		at.logged = time.Now()
		m.mu.Unlock()
		m.append(at, one)
	case at.waiting != nil && upTo <= at.waiting.upTo:
		at.waiting.answers = append(at.waiting.answers, answer)
		m.mu.Unlock()
	case !cut && upTo > m.reached(e.Stream):
		m.mu.Unlock()
		go m.cut(e, upTo, answer)
	case at.waiting == nil:
		at.waiting = one
		one.timer = time.AfterFunc(wait, func() { m.due(at) })
		m.mu.Unlock()
	default:
		at.waiting.answers = append(at.waiting.answers, answer)
		at.waiting.event, at.waiting.upTo = e, upTo
		m.mu.Unlock()
	}
}

// cut cuts a mark that has to wait to what is in the log now: what comes meanwhile is
// not read.
func (m *marks) cut(e *chat.Event, upTo chat.Sequence, answer markAnswer) {
	end, err := m.log.End(m.ctx, e.Stream)
	if err == nil && upTo >= end {
		upTo = end - 1
		e.Data, err = json.Marshal(chat.ReadData{UpTo: upTo})
	}
	if err != nil {
		m.answer([]markAnswer{answer}, 0, err)
		return
	}
	m.enter(e, upTo, answer, true)
}

// due logs the mark that waits, unless one that was under way has gone as far.
func (m *marks) due(at *mark) {
	m.mu.Lock()
	w := at.waiting
	if w == nil {
		m.mu.Unlock()
		return
	}
	at.waiting = nil
	if at.sequence != 0 && w.upTo <= at.upTo {
		sequence := at.sequence
		m.mu.Unlock()
		m.answer(w.answers, sequence, nil)
		return
	}
	at.logged = time.Now()
	m.mu.Unlock()
	m.append(at, w)
}

func (m *marks) append(at *mark, w *waitingMark) {
	for _, a := range w.answers {
		a.logging()
	}
	m.log.AppendAsync(m.ctx, w.event, func(err error) {
		sequence := w.event.Sequence
		if err == nil {
			m.mu.Lock()
			if upTo := min(w.upTo, sequence); upTo > at.upTo {
				at.upTo, at.sequence = upTo, sequence
			}
			m.mu.Unlock()
		}
		m.answered(w.answers, sequence, err)
	})
}

// answer answers marks that need not be logged.
func (m *marks) answer(answers []markAnswer, sequence chat.Sequence, err error) {
	for _, a := range answers {
		a.logging()
	}
	m.answered(answers, sequence, err)
}

func (m *marks) answered(answers []markAnswer, sequence chat.Sequence, err error) {
	for _, a := range answers {
		a.logged(sequence, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy -= len(answers)
}

// drain hands all that waits to the log. What comes later does not wait.
func (m *marks) drain() {
	m.mu.Lock()
	m.draining = true
	var waiting []*mark
	for _, at := range m.at {
		if at.waiting != nil {
			at.waiting.timer.Stop()
			waiting = append(waiting, at)
		}
	}
	m.mu.Unlock()
	for _, at := range waiting {
		m.due(at)
	}
}

// drained reports whether every mark is answered.
func (m *marks) drained() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.busy == 0
}

// sweep forgets the marks that nothing has to wait for any more.
func (m *marks) sweep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, at := range m.at {
		if at.waiting == nil && time.Since(at.logged) >= markEvery {
			delete(m.at, key)
		}
	}
}
