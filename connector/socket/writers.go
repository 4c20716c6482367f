package socket

import (
	"errors"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Writers write what waits in queues: a few goroutines for all sockets, each of which
// makes writes that do not block. Queues take turns in the order in which they were
// added, and each is in line at most once.
//
// A small write costs the system nearly as much as a large one, and with many sockets
// in busy rooms writing is most of what a connector does. So if writes take more than
// their share of the machine, queues are held back for a moment in which more gathers
// in each: twice as many frames per write are half as many writes. Nothing is held back
// as long as there is time, or if next to nothing gathers, as in very many quiet rooms.
//
// A queue whose peer does not accept everything gets a goroutine of its own.
type Writers struct {
	mu      sync.Mutex
	wake    sync.Cond
	line    []turn // valid from head on
	head    int
	idle    int
	stopped bool
	wg      sync.WaitGroup

	pressure pressure
}

// turn is a queue in line.
type turn struct {
	q     *Queue
	since time.Time
}

// StartWriters starts the goroutines. Stop ends them.
func StartWriters() *Writers {
	w := new(Writers)
	w.wake.L = &w.mu
	w.pressure = pressure{cost: usualCost, since: time.Now()}
	for range max(runtime.GOMAXPROCS(0), 2) {
		w.wg.Go(func() { newWriter(w).run() })
	}
	return w
}

// add gives a queue a turn, and reports whether it did: not if the writers have
// stopped.
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

// next waits for the next queue. took is the duration of the previous write, and frames
// its number of frames. It returns nil when the writers stop and all have had their
// turn.
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

// Stop ends the writers when everything that waits has had its turn.
func (w *Writers) Stop() {
	w.mu.Lock()
	w.stopped = true
	w.wake.Broadcast()
	w.mu.Unlock()
	w.wg.Wait()
}

// pressure decides how long queues are held back, by the share of the machine's time
// that writes have taken lately, and by how much gathers.
//
// The rest of a frame's way takes several times as long as its write. So if writes of
// single frames would take a third of the machine, there is no time left for the rest,
// and being held back for longer costs the least.
type pressure struct {
	hold   time.Duration
	cost   time.Duration // of a write
	writes int           // since
	frames int           // in those
	since  time.Time
}

const (
	pressureEvery = 20 * time.Millisecond // time between two decisions
	holdStep      = 2 * time.Millisecond
	leastGain     = 0.4 // minimum number of frames that usual.hold must add to each write to be worth it
	costWeight    = 64  // weight of the known cost against that of one more write
	usualCost     = 8 * time.Microsecond
	writesInARow  = 64
)

// bounds of holding back; shares are of all processors' time.
type bounds struct {
	above float64       // share of writes above which hold rises
	below float64       // and below which it falls
	hold  time.Duration // the longest hold
}

var (
	usual   = bounds{above: 0.2, below: 0.12, hold: 60 * time.Millisecond}
	pressed = bounds{above: 0.12, below: 0.07, hold: 200 * time.Millisecond}
)

// pressedAt is the share of writes of single frames from which it is pressed.
const pressedAt = 0.35

// add counts a write. A write that took very long was interrupted by other work, so it
// counts as twice the usual cost.
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
	if elapsed > 10*pressureEvery { // nobody wrote for a while
		p.hold = 0
	} else {
		share := float64(p.writes) * float64(p.cost) / float64(elapsed) / float64(runtime.NumCPU())
		p.decide(share, float64(p.frames)/float64(max(p.writes, 1)))
	}
	p.writes, p.frames, p.since = 0, 0, p.since.Add(elapsed)
}

// decide moves hold by one step. share is the share of the machine that writes take,
// and gathered the mean number of frames in a write.
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

	out []byte // the data that try writes
	n   int    // how much of it was written
	err error
}

func newWriter(all *Writers) *writer {
	w := &writer{all: all, buf: make([]byte, 0, writeBytes)}
	w.try = func(fd uintptr) bool {
		for {
			w.n, w.err = syscall.Write(int(fd), w.out)
			if !errors.Is(w.err, syscall.EINTR) {
				return true // whatever the result, do not wait
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
