package connector

import (
	"net"
	"sync"
	"time"
)

const writeBytes = 64 << 10 // at most so much goes into one write

// queue is what waits to be written to one socket: bounded, and without a
// goroutine while it is empty. Whatever has gathered is written at once.
type queue struct {
	conn      net.Conn
	maxFrames int
	maxBytes  int
	timeout   time.Duration // of a write
	onWritten func()        // after the last write of a closed queue, or a failed write

	mu      sync.Mutex
	frames  [][]byte
	bytes   int
	writing bool
	closed  bool          // nothing more is taken
	room    chan struct{} // closed when a waiting push may try again; nil when none waits
}

var writeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, writeBytes); return &b }}

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

// pushWait is push for a sender that can wait, as a replay does: it goes on when
// the queue is less than half full. It returns false when done is closed first.
func (q *queue) pushWait(frame []byte, done <-chan struct{}) bool {
	for {
		q.mu.Lock()
		if q.closed || len(q.frames) < q.maxFrames/2 && q.bytes < q.maxBytes/2 {
			ok := q.pushLocked([][]byte{frame})
			q.mu.Unlock()
			return ok
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
	if !q.writing {
		q.writing = true
		go q.write()
	}
}

func (q *queue) wakeLocked() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// write runs until the queue is empty or the socket fails.
func (q *queue) write() {
	buf := writeBuffers.Get().(*[]byte)
	defer writeBuffers.Put(buf)
	var batch [][]byte
	for {
		q.mu.Lock()
		if len(q.frames) == 0 {
			q.writing = false
			q.frames = nil // an idle socket keeps no memory for a busy hour
			closed := q.closed
			q.mu.Unlock()
			if closed {
				q.onWritten()
			}
			return
		}
		batch, q.frames, q.bytes = q.frames, batch[:0], 0
		q.wakeLocked()
		q.mu.Unlock()
		if err := q.writeBatch(batch, buf); err != nil {
			q.mu.Lock()
			q.closed, q.writing = true, false
			q.frames, q.bytes = nil, 0
			q.wakeLocked()
			q.mu.Unlock()
			q.onWritten()
			return
		}
		clear(batch)
	}
}

// writeBatch writes the frames in as few writes as their size allows. A frame is
// never split between two writes that another writer's frame could come between.
func (q *queue) writeBatch(batch [][]byte, buf *[]byte) error {
	for len(batch) > 0 {
		out := (*buf)[:0]
		n := 0
		for n < len(batch) && (n == 0 || len(out)+len(batch[n]) <= writeBytes) {
			out = append(out, batch[n]...)
			n++
		}
		if cap(out) <= 2*writeBytes {
			*buf = out
		}
		batch = batch[n:]
		if err := q.conn.SetWriteDeadline(time.Now().Add(q.timeout)); err != nil {
			return err
		}
		if _, err := q.conn.Write(out); err != nil {
			return err
		}
	}
	return nil
}
