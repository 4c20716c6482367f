package socket

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// writes counts the writes that reach a connection.
type writes struct {
	net.Conn
	n atomic.Int64
}

func (w *writes) Write(b []byte) (int, error) {
	w.n.Add(1)
	return w.Conn.Write(b)
}

func newQueue(conn net.Conn, w *Writers, frames, size int) (*Queue, chan struct{}) {
	written := make(chan struct{}, 1)
	q := new(Queue)
	q.Init(conn, w, Bounds{Frames: frames, Bytes: size, Timeout: 10 * time.Second}, func() { written <- struct{}{} })
	return q, written
}

func TestQueueWritesWhatGatheredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		conn := &writes{Conn: near}
		q, written := newQueue(conn, nil, 1000, 1<<20)
		var want []byte
		for i := range 100 {
			frame := Frame(Text, bytes.Repeat([]byte{byte('a' + i%26)}, i))
			want = append(want, frame...)
			if !q.Push(frame) {
				t.Fatal("the queue is full")
			}
		}
		q.Close(CloseFrame(1001, "bye"), false)
		want = append(want, CloseFrame(1001, "bye")...)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(far, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Error("the frames did not come whole and in order")
		}
		<-written
		if n := conn.n.Load(); n > 3 {
			t.Errorf("%d writes for 101 frames that waited together", n)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		q, written := newQueue(near, nil, 10, 100)
		frame := make([]byte, 30)
		q.Push(frame)
		synctest.Wait() // the first is being written to a peer that does not read
		for range 3 {
			if !q.Push(frame) {
				t.Fatal("full before its bound")
			}
		}
		if q.Push(frame) {
			t.Error("took 120 bytes, the bound is 100")
		}
		// A peer that takes nothing is given up after a time.
		<-written
		if !q.Push(frame) {
			t.Error("a closed queue must take and drop")
		}
		_ = far.Close()
	})
}

func TestQueuePushWaitGoesOnWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		q, written := newQueue(near, nil, 4, 1<<20)
		done := make(chan struct{})
		const n = 100
		go func() {
			for i := range n {
				if !q.PushWait(binary.BigEndian.AppendUint32(nil, uint32(i)), done) {
					t.Error("gave up")
				}
			}
			q.Close(nil, false)
		}()
		for i := range n {
			var b [4]byte
			if _, err := io.ReadFull(far, b[:]); err != nil {
				t.Fatal(err)
			}
			if got := binary.BigEndian.Uint32(b[:]); got != uint32(i) {
				t.Fatalf("frame %d came in place of %d", got, i)
			}
		}
		<-written

		q, written = newQueue(near, nil, 4, 1<<20)
		q.Push([]byte("x"))
		synctest.Wait()
		for range 4 {
			q.Push([]byte("x"))
		}
		go func() {
			time.Sleep(time.Second)
			close(done)
		}()
		if q.PushWait([]byte("y"), done) {
			t.Error("pushed into a full queue")
		}
		_ = near.Close()
		<-written
	})
}

func TestQueueDiscardsForASlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		q, written := newQueue(near, nil, 100, 1<<20)
		q.Push([]byte("first"))
		synctest.Wait()
		q.Push([]byte("waiting"))
		q.Close([]byte("close"), true)
		got := make([]byte, len("firstclose"))
		if _, err := io.ReadFull(far, got); err != nil {
			t.Fatal(err)
		}
		if string(got) != "firstclose" {
			t.Errorf("wrote %q", got)
		}
		<-written
	})
}

func TestWireFrameLengths(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		frame := Frame(Text, make([]byte, n))
		header := 2
		if n > 125 {
			header = 4
		}
		if n > 65535 {
			header = 10
		}
		if len(frame) != header+n {
			t.Errorf("%d bytes make a frame of %d", n, len(frame))
		}
	}
}

// What is of no use later does not wait behind what a slow peer has yet to take.
func TestQueueTakesNoOffersBehindOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		q, written := newQueue(near, nil, 1000, 1<<20)
		if !q.Offer(Frame(Text, []byte("offer"))) {
			t.Error("an idle queue takes no offer")
		}
		synctest.Wait() // it is being written, and nobody reads
		for range offeredBehind {
			q.Push(Frame(Text, []byte("frame")))
		}
		if q.Offer(Frame(Text, []byte("offer"))) {
			t.Error("an offer waits behind others")
		}
		q.Close(nil, true)
		_ = far.Close()
		<-written
	})
}
