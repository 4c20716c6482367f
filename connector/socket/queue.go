package socket

import (
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	writeBytes    = 64 << 10 // maximum size of one write
	offeredBehind = 16       // frames; Offer drops its frame if more are waiting
	keepFrames    = 2        // frames for which an idle socket keeps room
)

// Queue is a bounded queue of frames to be written to one socket. It has no goroutine.
// Whatever has gathered by its turn is written at once.
type Queue struct {
	conn    net.Conn
	raw     syscall.RawConn // of conn, for the writers; nil if it has none
	writers *Writers        // nil if the queue always writes by itself
	bounds  Bounds
	written func()

	mu      sync.Mutex
	frames  [][]byte
	bytes   int
	writing bool          // has a turn, or waits for one
	closed  bool          // accepts nothing more
	room    chan struct{} // closed when waiting pushes may retry; nil if none waits
}

// Bounds limit a queue.
type Bounds struct {
	Frames  int           // maximum number of waiting frames
	Bytes   int           // maximum size of waiting frames
	Timeout time.Duration // maximum duration of a write
}

// Init sets the connection that the queue writes to, through the writers where
// possible. written is called after the last write of a closed queue, or a failed
// write.
func (q *Queue) Init(conn net.Conn, w *Writers, b Bounds, written func()) {
	q.conn, q.writers, q.bounds, q.written = conn, w, b, written
	if system, ok := conn.(syscall.Conn); ok && w != nil {
		q.raw, _ = system.SyscallConn() // if nil, the queue writes by itself
	}
}

// Push adds complete frames, which must not change any more, and starts writing. It
// returns false if the queue is full. A closed queue accepts frames and drops them.
func (q *Queue) Push(frames ...[]byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pushLocked(frames)
}

func (q *Queue) pushLocked(frames [][]byte) bool {
	if q.closed {
		return true
	}
	for _, f := range frames {
		if len(q.frames) >= q.bounds.Frames || q.bytes+len(f) > q.bounds.Bytes {
			return false
		}
		q.frames = append(q.frames, f)
		q.bytes += len(f)
	}
	q.startLocked()
	return true
}

// Offer adds a frame that is useless later. It returns false if others are waiting.
func (q *Queue) Offer(frame []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed || len(q.frames) < offeredBehind && q.bytes < writeBytes && q.pushLocked([][]byte{frame})
}

// Len returns the number of waiting frames.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.frames)
}

// PushWait is Push for a sender that can wait, such as a replay. It continues when the
// queue is less than half full. It returns false if done is closed first.
func (q *Queue) PushWait(frame []byte, done <-chan struct{}) (ok bool) {
	return q.await(done, func() bool {
		if !q.closed && (len(q.frames) >= q.bounds.Frames/2 || q.bytes >= q.bounds.Bytes/2) {
			return false
		}
		ok = q.pushLocked([][]byte{frame})
		return true
	}) && ok
}

// Drained waits until the next write takes all that is left. It returns false if done
// is closed first.
func (q *Queue) Drained(done <-chan struct{}) bool {
	return q.await(done, func() bool { return q.closed || q.bytes <= writeBytes })
}

// await waits until ready returns true, which is called with q.mu held. It returns
// false if done is closed first.
func (q *Queue) await(done <-chan struct{}, ready func() bool) bool {
	for {
		q.mu.Lock()
		if ready() {
			q.mu.Unlock()
			return true
		}
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
		case <-done:
			return false
		}
	}
}

// Close adds a last frame, if any. After that the queue accepts nothing. If discard is
// true, waiting frames are dropped, otherwise they are written first.
func (q *Queue) Close(last []byte, discard bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.closed = true
	if discard {
		q.frames, q.bytes = nil, 0
	}
	if last != nil {
		q.frames = append(q.frames, last)
	}
	q.wakeLocked()
	q.startLocked()
}

func (q *Queue) startLocked() {
	if q.writing {
		return
	}
	q.writing = true
	if q.raw == nil || !q.writers.add(q) {
		go q.write(nil)
	}
}

func (q *Queue) wakeLocked() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// take moves frames to buf, as many as fit into one write, and returns their number. A
// frame is never split between two writes, since another writer's frame could come
// between them.
func (q *Queue) take(buf []byte) (_ []byte, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for n < len(q.frames) && (n == 0 || len(buf)+len(q.frames[n]) <= writeBytes) {
		buf = append(buf, q.frames[n]...)
		n++
	}
	q.bytes -= len(buf)
	left := copy(q.frames, q.frames[n:])
	clear(q.frames[left:])
	if q.frames = q.frames[:left]; left == 0 && cap(q.frames) > keepFrames {
		q.frames = nil
	}
	q.wakeLocked()
	return buf, n
}

// done ends the turn if nothing is left to write, and reports whether it did.
func (q *Queue) done() bool {
	q.mu.Lock()
	if len(q.frames) > 0 {
		q.mu.Unlock()
		return false
	}
	q.writing = false
	closed := q.closed
	q.mu.Unlock()
	if closed {
		q.written()
	}
	return true
}

// again lines up for what has arrived during the turn.
func (q *Queue) again() {
	if !q.done() && !q.writers.add(q) {
		go q.write(nil)
	}
}

// failed ends the queue when the socket accepts nothing any longer.
func (q *Queue) failed() {
	q.mu.Lock()
	q.closed, q.writing = true, false
	q.frames, q.bytes = nil, 0
	q.wakeLocked()
	q.mu.Unlock()
	q.written()
}

var writeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, writeBytes); return &b }}

// write writes out, then what waits, until the queue is empty or the socket fails. It
// may block on the peer.
func (q *Queue) write(out []byte) {
	buf := writeBuffers.Get().(*[]byte)
	defer writeBuffers.Put(buf)
	for {
		if len(out) > 0 {
			err := q.conn.SetWriteDeadline(time.Now().Add(q.bounds.Timeout))
			if err == nil {
				_, err = q.conn.Write(out)
			}
			if err != nil {
				q.failed()
				return
			}
			// The writers set none.
			_ = q.conn.SetWriteDeadline(time.Time{})
		}
		if q.done() {
			return
		}
		out, _ = q.take((*buf)[:0])
		if cap(out) <= 2*writeBytes {
			*buf = out
		}
	}
}
