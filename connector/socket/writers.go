package socket

import (
	"errors"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Writers write what waits in queues: a few goroutines for all sockets, each of
// which tries a write that cannot block. Queues take their turns in the order in
// which they were added, each at most once in the line.
//
// A small write costs the system nearly as much as a large one, and with many
// sockets in busy rooms writing is most of what a connector does. So when writes
// take more than their share of the machine, queues are held back for a moment in
// which more gathers in each: twice as many frames in a write are half as many
// writes. As long as there is time, nothing is held back, nor when next to nothing
// gathers, as in very many quiet rooms.
//
// A queue whose peer does not take it all gets a goroutine of its own.
type Writers struct {
	mu      sync.Mutex
	wake    sync.Cond
	line    []turn // from head on
	head    int
	idle    int
	stopped bool
	wg      sync.WaitGroup

	pressure pressure
}

// turn is a queue in the line.
type turn struct {
	q     *Queue
	since time.Time
}

// StartWriters starts the goroutines, which Stop ends.
func StartWriters() *Writers {
	w := new(Writers)
	w.wake.L = &w.mu
	w.pressure = pressure{cost: usualCost, since: time.Now()}
	for range max(runtime.GOMAXPROCS(0), 2) {
		w.wg.Go(func() { newWriter(w).run() })
	}
	return w
}

// add gives a queue a turn; false when the writers have stopped.
func (w *Writers) add(q *Queue) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return false
	}
	w.line = append(w.line, turn{q, time.Now()})
	if w.idle > 0 {
		w.idle--
		w.wake.Signal()
	}
	return true
}

// next waits for the next queue; took is how long the write before it has taken,
// of so many frames. It is nil when the writers stop and all have had their turn.
func (w *Writers) next(took time.Duration, frames int) *Queue {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pressure.add(took, frames)
	for {
		if w.head == len(w.line) {
			w.line, w.head = w.line[:0], 0
			if w.stopped {
				return nil
			}
			w.idle++
			w.wake.Wait()
			continue
		}
		early := w.pressure.hold - time.Since(w.line[w.head].since)
		if early <= 0 || w.stopped {
			break
		}
		w.mu.Unlock()
		time.Sleep(max(early, time.Millisecond))
		w.mu.Lock()
	}
	q := w.line[w.head].q
	w.line[w.head] = turn{}
	w.head++
	if w.head > 1024 && w.head > len(w.line)/2 {
		n := copy(w.line, w.line[w.head:])
		clear(w.line[n:])
		w.line, w.head = w.line[:n], 0
	}
	return q
}

// Stop ends the writers when all that waits has had its turn.
func (w *Writers) Stop() {
	w.mu.Lock()
	w.stopped = true
	w.wake.Broadcast()
	w.mu.Unlock()
	w.wg.Wait()
}

// pressure decides how long queues are held back, by the share of the machine's
// time that writes have taken lately and by what gathers.
//
// The rest of a frame's way takes several times as long as its write. So when
// writes of single frames would take a third of the machine there is no time left
// to take it from, and being held back for longer is what costs the least of it.
type pressure struct {
	hold   time.Duration
	cost   time.Duration // of a write
	writes int           // since
	frames int           // in those
	since  time.Time
}

const (
	pressureEvery = 20 * time.Millisecond // how often it is decided
	holdStep      = 2 * time.Millisecond
	leastGain     = 0.4 // frames that usual.hold adds to each write at least, or it is not worth it
	costWeight    = 64  // of the known cost against that of one more write
	usualCost     = 8 * time.Microsecond
	writesInARow  = 64
)

// bounds of holding back; shares are of all processors' time.
type bounds struct {
	above float64       // share of writes above which hold rises
	below float64       // and below which it falls
	hold  time.Duration // the longest
}

var (
	usual   = bounds{above: 0.2, below: 0.12, hold: 60 * time.Millisecond}
	pressed = bounds{above: 0.12, below: 0.07, hold: 200 * time.Millisecond}
)

// pressedAt is the share of writes of single frames from which it is pressed.
const pressedAt = 0.35

// add counts a write. One that took very long was interrupted by other work, so
// it counts as twice the usual cost.
func (p *pressure) add(took time.Duration, frames int) {
	if took > 0 {
		p.writes++
		p.frames += frames
		p.cost += (min(took, 2*p.cost) - p.cost) / costWeight
	}
	elapsed := time.Since(p.since)
	if elapsed < pressureEvery {
		return
	}
	if elapsed > 10*pressureEvery { // nobody wrote for long
		p.hold = 0
	} else {
		share := float64(p.writes) * float64(p.cost) / float64(elapsed) / float64(runtime.NumCPU())
		p.decide(share, float64(p.frames)/float64(max(p.writes, 1)))
	}
	p.writes, p.frames, p.since = 0, 0, p.since.Add(elapsed)
}

// decide moves hold by a step: share is what writes take of the machine, gathered
// the mean number of frames in one.
func (p *pressure) decide(share, gathered float64) {
	worth := 1 + leastGain*float64(p.hold)/float64(usual.hold)
	b := usual
	if share*gathered > pressedAt {
		b = pressed
	}
	switch {
	case share < b.below || gathered < worth || p.hold > b.hold:
		p.hold = max(p.hold-holdStep, 0)
	case share > b.above:
		p.hold = min(p.hold+holdStep, b.hold)
	}
}

// writer is one of the goroutines.
type writer struct {
	all *Writers
	buf []byte
	try func(fd uintptr) bool

	out []byte // what try writes
	n   int    // how much of it was written
	err error
}

func newWriter(all *Writers) *writer {
	w := &writer{all: all, buf: make([]byte, 0, writeBytes)}
	w.try = func(fd uintptr) bool {
		for {
			w.n, w.err = syscall.Write(int(fd), w.out)
			if !errors.Is(w.err, syscall.EINTR) {
				return true // whatever became of it: never wait
			}
		}
	}
	return w
}

func (w *writer) run() {
	took, frames := time.Duration(0), 0
	n := 0
	for q := w.all.next(0, 0); q != nil; q = w.all.next(took, frames) {
		begun := time.Now()
		frames = w.write(q)
		took = time.Since(begun)
		// Under load there is always one more. What leads to the next delivery, a
		// chain of goroutines that have little to do each, would else wait for a
		// time slice at each link.
		if n++; n%writesInARow == 0 {
			runtime.Gosched()
		}
	}
}

// write writes what waits in a queue, at most writeBytes or one frame of it, and
// tells how many frames that was.
func (w *writer) write(q *Queue) (frames int) {
	w.out, frames = q.take(w.buf[:0])
	if len(w.out) > 0 {
		w.n, w.err = 0, nil
		if err := q.raw.Write(w.try); err != nil {
			w.err = err
		}
		switch {
		case w.err != nil && !errors.Is(w.err, syscall.EAGAIN):
			q.failed()
			return frames
		case max(w.n, 0) < len(w.out):
			rest := append([]byte(nil), w.out[max(w.n, 0):]...)
			go q.write(rest)
			return frames
		}
	}
	q.again()
	return frames
}
