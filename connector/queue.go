package connector

import (
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	writeBytes    = 64 << 10 // at most so much goes into one write
	offeredBehind = 16       // frames at most: what is of no use later is not queued behind more
	keepFrames    = 2        // an idle socket keeps room for so many, and no memory for a busy hour
)

// queue is what waits to be written to one socket: bounded, and without a
// goroutine. Whatever has gathered when its turn comes is written at once.
type queue struct {
	conn      net.Conn
	raw       syscall.RawConn // of conn, for the writers; nil when it has none
	writers   *writers        // nil when the queue always writes by itself
	maxFrames int
	maxBytes  int
	timeout   time.Duration // of a write
	onWritten func()        // after the last write of a closed queue, or a failed write

	mu      sync.Mutex
	frames  [][]byte
	bytes   int
	writing bool          // has its turn, or waits for it
	closed  bool          // nothing more is taken
	room    chan struct{} // closed when a waiting push may try again; nil when none waits
}

// push adds finished frames, which must not change any more, and starts writing.
// It returns false when the queue is full; a closed queue takes and drops them.
func (q *queue) push(frames ...[]byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pushLocked(frames)
}

func (q *queue) pushLocked(frames [][]byte) bool {
	if q.closed {
		return true
	}
	for _, f := range frames {
		if len(q.frames) >= q.maxFrames || q.bytes+len(f) > q.maxBytes {
			return false
		}
		q.frames = append(q.frames, f)
		q.bytes += len(f)
	}
	q.startLocked()
	return true
}

// offer adds a frame that is of no use later: it returns false when others wait.
func (q *queue) offer(frame []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed || len(q.frames) < offeredBehind && q.bytes < writeBytes && q.pushLocked([][]byte{frame})
}

// len is how many frames wait.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.frames)
}

// pushWait is push for a sender that can wait, as a replay does: it goes on when
// the queue is less than half full. It returns false when done is closed first.
func (q *queue) pushWait(frame []byte, done <-chan struct{}) (ok bool) {
	return q.await(done, func() bool {
		if !q.closed && (len(q.frames) >= q.maxFrames/2 || q.bytes >= q.maxBytes/2) {
			return false
		}
		ok = q.pushLocked([][]byte{frame})
		return true
	}) && ok
}

// drained waits until next to nothing waits to be written: what the next write takes.
// It returns false when done is closed first.
func (q *queue) drained(done <-chan struct{}) bool {
	return q.await(done, func() bool { return q.closed || q.bytes <= writeBytes })
}

// await waits until ready, which is called with q.mu held. It returns false when done
// is closed first.
func (q *queue) await(done <-chan struct{}, ready func() bool) bool {
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

// close adds a last frame, if any, after which the queue takes nothing. With
// discard what waits is dropped, otherwise it is written first.
func (q *queue) close(last []byte, discard bool) {
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

func (q *queue) startLocked() {
	if q.writing {
		return
	}
	q.writing = true
	if q.raw == nil || !q.writers.add(q) {
		go q.write(nil)
	}
}

func (q *queue) wakeLocked() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// take moves frames to buf, as many as fit into one write, and tells how many. A
// frame is never split between two writes that another writer's frame could come
// between.
func (q *queue) take(buf []byte) (_ []byte, n int) {
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

// done ends the turn when nothing is left to write; false when something is.
func (q *queue) done() bool {
	q.mu.Lock()
	if len(q.frames) > 0 {
		q.mu.Unlock()
		return false
	}
	q.writing = false
	closed := q.closed
	q.mu.Unlock()
	if closed {
		q.onWritten()
	}
	return true
}

// again lines up for what has come during the turn.
func (q *queue) again() {
	if !q.done() && !q.writers.add(q) {
		go q.write(nil)
	}
}

// failed ends the queue when the socket takes nothing any more.
func (q *queue) failed() {
	q.mu.Lock()
	q.closed, q.writing = true, false
	q.frames, q.bytes = nil, 0
	q.wakeLocked()
	q.mu.Unlock()
	q.onWritten()
}

var writeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, writeBytes); return &b }}

// write writes out, then what waits, until the queue is empty or the socket
// fails. It may have to wait for the peer.
func (q *queue) write(out []byte) {
	buf := writeBuffers.Get().(*[]byte)
	defer writeBuffers.Put(buf)
	for {
		if len(out) > 0 {
			err := q.conn.SetWriteDeadline(time.Now().Add(q.timeout))
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
