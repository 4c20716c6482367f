package main

import (
	"bufio"
	"bytes"
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
	server  unix.SockaddrInet4
	source  unix.SockaddrInet4
	rnd     *rand.Rand
	writer  *writer
	epoll   int
	sockets []socket
	buffer  []byte // for reading
	frame   []byte // for writing
	out     *json.Encoder

	// got is, for each receiver, what it got of each member of its room.
	got [][]tally

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
	received uint64

	second   int64
	counts   counts
	ack      *hdrhistogram.Histogram
	receipt  *hdrhistogram.Histogram
	checks   checks
	problems []string
	tooMuch  map[string]bool
}

// tally is what one receiver got of one sender.
type tally struct {
	last, count uint32
}

// phase is what became of the messages that were due in it.
type phase struct {
	sending
	counts  counts
	ack     *hdrhistogram.Histogram
	receipt *hdrhistogram.Histogram
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

func (w *worker) prepare() (err error) {
	if w.server, err = resolve(w.plan.Address); err != nil {
		return err
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
		w.got = make([][]tally, len(w.sockets))
		for i := range w.got {
			w.got[i] = make([]tally, w.members(i))
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
		wait = min(wait, int64(w.nextDue)-t)
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
		w.phases = append(w.phases, phase{sending: *o.Phase, ack: newHistogram(), receipt: newHistogram()})
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
	fd, err := dial(w.source, w.server)
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

// event handles what epoll says of a descriptor.
func (w *worker) event(fd int, events uint32) {
	i := int(fds[fd])
	s := &w.sockets[i]
	if s.fd != fd {
		return // dropped since
	}
	if s.stage == connecting && events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		if code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
			w.problem("connecting: %v", errors.Join(err, unix.Errno(code)))
			w.drop(i, now()+reconnectPause)
			return
		}
		s.stage = shaking
		w.write(i, handshake(w.plan.Address, w.plan.Tokens[i]))
		if s.fd >= 0 && len(s.out) == 0 {
			_ = w.watch(unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN)
		}
		return
	}
	if events&unix.EPOLLOUT != 0 && len(s.out) > 0 {
		out := s.out
		s.out = nil
		w.write(i, out)
		if s.fd >= 0 && len(s.out) == 0 {
			_ = w.watch(unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN)
		}
	}
	if s.fd >= 0 && events&(unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		w.read(i)
	}
}

func (w *worker) write(i int, b []byte) {
	s := &w.sockets[i]
	if len(s.out) > 0 {
		s.out = append(s.out, b...)
		return
	}
	n, err := unix.Write(s.fd, b)
	switch {
	case errors.Is(err, unix.EAGAIN):
		n = 0
	case err != nil:
		return // the read says so too
	}
	if n < len(b) {
		s.out = append(s.out, b[n:]...)
		_ = w.watch(unix.EPOLL_CTL_MOD, s.fd, unix.EPOLLIN|unix.EPOLLOUT)
	}
}

func (w *worker) read(i int) {
	s := &w.sockets[i]
	b := w.buffer
	kept := copy(b, s.in)
	n, err := unix.Read(s.fd, b[kept:])
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if err != nil || n == 0 {
		w.checks.Disconnects++
		w.problem("the server ended a connection: %v", err)
		w.drop(i, now()+reconnectPause)
		return
	}
	t := now()
	b = b[:kept+n]
	if s.stage == shaking {
		n, err := accepted(b)
		if err != nil {
			w.problem("%v", err)
			w.drop(i, t+reconnectPause)
			return
		}
		if n > 0 {
			b = b[n:]
			s.stage = subscribing
		}
	}
	for s.stage >= subscribing && len(b) > 0 {
		op, payload, n, err := next(b)
		if err != nil {
			w.problem("%v", err)
			w.drop(i, t+reconnectPause)
			return
		}
		if n == 0 {
			break
		}
		b = b[n:]
		switch op {
		case opText:
			w.text(i, payload, t)
		case opPing:
			w.write(i, appendFrame(nil, opPong, payload))
		case opClose:
			w.checks.Disconnects++
			code := 0
			if len(payload) >= 2 {
				code = int(payload[0])<<8 | int(payload[1])
			}
			w.problem("closed with %d %s", code, payload[min(2, len(payload)):])
			w.drop(i, t+reconnectPause)
		}
	}
	if s.fd < 0 {
		return
	}
	if len(b) == readSize {
		w.problem("a frame of over %d bytes", readSize)
		w.drop(i, t+reconnectPause)
		return
	}
	if len(b) > 0 || s.in != nil {
		s.in = append(s.in[:0], b...)
		if len(s.in) == 0 {
			s.in = nil
		}
	}
}

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

// complete tells whether every message was answered and every receiver has what
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
