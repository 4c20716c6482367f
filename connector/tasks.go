package connector

// maxNamed is how many rooms the waiting requests of a session may name, in times of
// its subscriptions.
const maxNamed = 2

// tasks are what a session has to do beside reading, one after the other: subscribing
// and unsubscribing take their time.
type tasks struct {
	waiting []task
	named   int           // rooms, by those that wait
	running bool          //
	fewer   chan struct{} // closed when one has begun; nil when nobody waits for that
}

type task struct {
	run   func()
	rooms int
}

// request runs a client's request, which names so many rooms, as a task. When too much
// waits already the reader does too: what a client sends is taken as fast as it can be
// done.
func (s *session) request(rooms int, f func()) {
	for {
		s.mu.Lock()
		t := &s.tasks
		if len(t.waiting) < s.c.cfg.Burst && (t.named == 0 || t.named+rooms <= maxNamed*s.c.cfg.Subscriptions) {
			s.startLocked(task{f, rooms})
			s.mu.Unlock()
			return
		}
		if t.fewer == nil {
			t.fewer = make(chan struct{})
		}
		fewer := t.fewer
		s.mu.Unlock()
		s.waits.Store(true)
		select {
		case <-fewer:
			s.resume()
		case <-s.done:
			return
		}
	}
}

// task runs f after the tasks before it, beside the reader.
func (s *session) task(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.startLocked(task{run: f})
}

func (s *session) startLocked(t task) {
	s.tasks.waiting = append(s.tasks.waiting, t)
	s.tasks.named += t.rooms
	if !s.tasks.running {
		s.tasks.running = true
		go s.runTasks()
	}
}

func (s *session) runTasks() {
	for {
		s.mu.Lock()
		t := &s.tasks
		if t.fewer != nil {
			close(t.fewer)
			t.fewer = nil
		}
		if len(t.waiting) == 0 || s.ended() {
			t.running, t.waiting, t.named = false, nil, 0
			s.mu.Unlock()
			return
		}
		next := t.waiting[0]
		t.waiting = t.waiting[1:]
		t.named -= next.rooms
		s.mu.Unlock()
		s.guarded(next.run)
	}
}
