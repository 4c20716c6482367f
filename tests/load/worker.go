package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"knatter.dev/chat"
)

const (
	connectTimeout = int64(20 * time.Second)
	drainTimeout   = int64(20 * time.Second) // for the last messages to arrive
	reconnectPause = int64(time.Second)      // after the server closed a socket
	readSize       = 256 << 10
	maxPollMillis  = 100
	verifyEach     = 1000
)

// worker holds sockets and sends and checks messages, in one loop of one thread:
// what a load generator costs is lost to the server beside it.
type worker struct {
	plan    plan
	servers []unix.SockaddrInet4
	source  unix.SockaddrInet4
	rnd     *rand.Rand
	writer  *writer
	epoll   int
	sockets []socket
	buffer  []byte // for reading
	frame   []byte // for writing
	data    []byte // of the frame
	out     *json.Encoder

	// got is, for each receiver, what it got of each member of its room, and folded what
	// became of the room's last messages.
	got    [][]heard
	folded []folded
	rooms  []room
	soon   []later // messages to be posted
	marks  []later // read marks to be sent

	phases   []phase
	current  int     // index of the phase that is being sent; -1 for none
	nextDue  float64 // ns
	nextUp   float64 // when the next socket may be opened, ns
	opened   int     // sockets whose first connecting has begun
	lives    int
	cutAt    int64
	resumed  int64
	told     bool  // that all are connected
	finish   int64 // when to give up waiting for what is missing; 0 before it is asked for
	look     int64 // when to see next whether anything is
	arrivals uint64

	second   int64
	counts   counts
	ack      *hdrhistogram.Histogram
	receipt  *hdrhistogram.Histogram
	checks   checks
	problems []string
	tooMuch  map[string]bool
}

// heard is what one receiver got of one sender.
type heard struct {
	said, marks tally
	mark        int64 // how far the sender has read
}

type tally struct {
	last, count uint32
}

// phase is what became of the events that were due in it.
type phase struct {
	sending
	figures [kinds]figures
}

// runWorker does what the orders on in say, and accounts for it on out.
func runWorker(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	lines := json.NewDecoder(bufio.NewReader(in))
	w := &worker{out: json.NewEncoder(out), current: -1, tooMuch: make(map[string]bool)}
	if err := lines.Decode(&w.plan); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	if err := w.prepare(); err != nil {
		return err
	}
	orders := make(chan order, 16)
	go func() { // ends with the process, which ends when its input does
		defer close(orders)
		for {
			var o order
			if lines.Decode(&o) != nil {
				return
			}
			orders <- o
		}
	}()
	return w.run(orders)
}

// connector is which one of the server's a socket is on; those of a room are on all.
func (w *worker) connector(i int) int {
	return (i + i/max(len(w.plan.Rooms), 1)) % len(w.plan.Addresses)
}

func (w *worker) prepare() (err error) {
	for _, address := range w.plan.Addresses {
		server, err := resolve(address)
		if err != nil {
			return err
		}
		w.servers = append(w.servers, server)
	}
	if w.plan.Source != "" {
		if w.source, err = resolve(w.plan.Source + ":0"); err != nil {
			return err
		}
	}
	w.rnd = rand.New(rand.NewPCG(w.plan.Seed, 1))
	w.writer = newWriter(w.rnd)
	w.buffer = make([]byte, readSize)
	w.ack, w.receipt = newHistogram(), newHistogram()
	w.sockets = make([]socket, len(w.plan.Tokens))
	if len(w.plan.Rooms) > 0 {
		w.rooms = make([]room, len(w.plan.Rooms))
		w.folded = make([]folded, len(w.sockets))
		w.got = make([][]heard, len(w.sockets))
		for i := range w.got {
			w.got[i] = make([]heard, w.members(i))
		}
	}
	for i := range w.sockets {
		w.sockets[i].fd = -1
	}
	w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// members is how many members the room of socket i has.
func (w *worker) members(i int) int {
	rooms := len(w.plan.Rooms)
	return (len(w.sockets) - i%rooms + rooms - 1) / rooms
}

func (w *worker) room(i int) chat.RoomID { return w.plan.Rooms[i%len(w.plan.Rooms)] }

func (w *worker) run(orders <-chan order) error {
	events := make([]unix.EpollEvent, 1024)
	w.second = now() / 1e9
	w.nextUp = float64(now())
	for {
		select {
		case o, ok := <-orders:
			if !ok {
				return errors.New("the coordinator is gone")
			}
			w.obey(o)
		default:
		}
		t := now()
		w.tick(t)
		w.connect(t)
		w.send(t)
		if w.finish > 0 && t > w.look {
			if w.complete() || t > w.finish {
				return w.done()
			}
			w.look = t + 50e6
		}
		n, err := unix.EpollWait(w.epoll, events, w.patience(now()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			w.event(int(e.Fd), e.Events)
		}
	}
}

// patience is how long there is nothing to do but to read, in milliseconds.
func (w *worker) patience(t int64) int {
	wait := int64(maxPollMillis * 1e6)
	if w.current >= 0 {
		wait = min(wait, int64(w.nextDue)-w.ahead()-t)
	}
	for _, list := range [][]later{w.soon, w.marks} {
		if len(list) > 0 {
			wait = min(wait, list[0].at-t)
		}
	}
	if w.opened < len(w.sockets) {
		wait = min(wait, int64(w.nextUp)-t)
	}
	if w.lives < w.opened || w.finish > 0 {
		wait = min(wait, 5e6)
	}
	return int((max(wait, 0) + 999_999) / 1e6)
}

func (w *worker) obey(o order) {
	switch {
	case o.Phase != nil:
		w.phases = append(w.phases, newPhase(*o.Phase))
		w.current = len(w.phases) - 1
		w.nextDue = float64(o.Phase.From)
	case o.Cut != nil:
		w.cutAt, w.resumed = o.Cut.At, 0
		for i := range w.sockets {
			s := &w.sockets[i]
			if s.fd >= 0 {
				w.drop(i, o.Cut.At+w.rnd.Int64N(max(o.Cut.Over, 1)))
			}
		}
	case o.Finish:
		w.current = -1
		w.finish = now() + drainTimeout
	}
}

// tick accounts for the second that is over.
func (w *worker) tick(t int64) {
	if t/1e9 == w.second {
		return
	}
	a := account{Kind: "second", Second: w.second, Sockets: w.lives, Counts: w.counts, Checks: w.checks, Resumed: w.resumed}
	if w.current >= 0 {
		a.Phase = w.phases[w.current].Name
	}
	if w.ack.TotalCount() > 0 {
		a.Ack = encode(w.ack)
		w.ack.Reset()
	}
	if w.receipt.TotalCount() > 0 {
		a.Receipt = encode(w.receipt)
		w.receipt.Reset()
	}
	w.counts = counts{}
	w.second = t / 1e9
	_ = w.out.Encode(a) // a coordinator that is gone is noticed by its orders' end
}

// connect opens sockets at their rate, and again those that have to come back.
func (w *worker) connect(t int64) {
	for w.opened < len(w.sockets) && float64(t) >= w.nextUp {
		w.dial(w.opened, t)
		w.opened++
		w.nextUp += 1e9 / w.plan.Connects
	}
	if w.lives == w.opened {
		if !w.told && w.opened == len(w.sockets) {
			w.told = true
			_ = w.out.Encode(account{Kind: "connected", Sockets: w.lives, Checks: w.checks})
		}
		return
	}
	for i := range w.sockets[:w.opened] {
		s := &w.sockets[i]
		switch {
		case s.stage == closed && t >= s.back:
			s.since = t
			w.dial(i, t)
		case s.stage != live && s.stage != closed && t > s.back+connectTimeout:
			w.problem("a session did not open within %v", time.Duration(connectTimeout))
			w.drop(i, t)
		}
	}
}

func (w *worker) dial(i int, t int64) {
	s := &w.sockets[i]
	fd, err := dial(w.source, w.servers[w.connector(i)])
	if err != nil {
		w.problem("%v", err)
		s.back = t + reconnectPause
		return
	}
	if fd >= len(fds) {
		fds = slices.Grow(fds, fd-len(fds)+1)[:fd+1]
	}
	fds[fd] = int32(i)
	s.fd, s.stage, s.back = fd, connecting, t
	if err := w.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLOUT); err != nil {
		w.problem("%v", err)
	}
}

// fds is the socket of each file descriptor.
var fds []int32

func (w *worker) watch(op, fd int, events uint32) error {
	return unix.EpollCtl(w.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// drop ends a socket, which is to come back at a time.
func (w *worker) drop(i int, back int64) {
	s := &w.sockets[i]
	if s.stage == live {
		w.lives--
	}
	hangUp(s.fd)
	s.fd, s.stage, s.back, s.in, s.out = -1, closed, back, nil, nil
}

func (w *worker) problem(format string, args ...any) {
	p := fmt.Sprintf(format, args...)
	if !w.tooMuch[p] && len(w.problems) < 20 {
		w.tooMuch[p] = true
		w.problems = append(w.problems, p)
		fmt.Fprintln(os.Stderr, "load:", p)
	}
}
