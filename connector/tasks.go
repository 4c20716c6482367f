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
func (f *subscriptions) request(rooms int, run func()) {
	for {
		f.mu.Lock()
		t := &f.tasks
		if len(t.waiting) < f.s.c.cfg.Burst && (t.named == 0 || t.named+rooms <= maxNamed*f.s.c.cfg.Subscriptions) {
			f.startLocked(task{run, rooms})
			f.mu.Unlock()
			return
		}
		if t.fewer == nil {
			t.fewer = make(chan struct{})
		}
		fewer := t.fewer
		f.mu.Unlock()
		f.s.waits.Store(true)
		select {
		case <-fewer:
			f.s.resume()
		case <-f.s.done:
			return
		}
	}
}

// task runs run after the tasks before it, beside the reader.
func (f *subscriptions) task(run func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.startLocked(task{run: run})
}

func (f *subscriptions) startLocked(t task) {
	f.tasks.waiting = append(f.tasks.waiting, t)
	f.tasks.named += t.rooms
	if !f.tasks.running {
		f.tasks.running = true
		go f.runTasks()
	}
}

func (f *subscriptions) runTasks() {
	for {
		f.mu.Lock()
		t := &f.tasks
		if t.fewer != nil {
			close(t.fewer)
			t.fewer = nil
		}
		if len(t.waiting) == 0 || f.s.ended() {
			t.running, t.waiting, t.named = false, nil, 0
			f.mu.Unlock()
			return
		}
		next := t.waiting[0]
		t.waiting = t.waiting[1:]
		t.named -= next.rooms
		f.mu.Unlock()
		f.s.guarded(next.run)
	}
}
