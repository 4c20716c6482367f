package socket

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// tcp returns both ends of a connection.
func tcp(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = conn.Close(), accepted.Close() })
	return accepted.(*net.TCPConn), conn.(*net.TCPConn)
}

func TestWritersKeepEachQueueInOrder(t *testing.T) {
	w := StartWriters()
	defer w.Stop()
	const sockets, frames = 20, 500
	var wg sync.WaitGroup
	for range sockets {
		near, far := tcp(t)
		q, _ := newQueue(near, w, frames, 1<<20)
		wg.Go(func() {
			for i := range uint32(frames) {
				if !q.Push(binary.BigEndian.AppendUint32(nil, i)) {
					t.Error("the queue is full")
				}
			}
		})
		wg.Go(func() {
			got := make([]byte, 4*frames)
			if _, err := io.ReadFull(far, got); err != nil {
				t.Error(err)
			}
			for i := range uint32(frames) {
				if n := binary.BigEndian.Uint32(got[4*i:]); n != i {
					t.Errorf("frame %d came in place %d", n, i)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A peer that does not read must hold up neither the writers nor its own frames.
func TestWritersDoNotWaitForAPeer(t *testing.T) {
	w := StartWriters()
	defer w.Stop()
	near, far := tcp(t)
	slow, written := newQueue(near, w, 1000, 64<<20)
	var want []byte
	for i := range 400 { // more than the system buffers
		frame := bytes.Repeat([]byte{byte(i)}, 100_000)
		want = append(want, frame...)
		if !slow.Push(frame) {
			t.Fatal("the queue is full")
		}
	}
	for range 50 {
		near, far := tcp(t)
		q, _ := newQueue(near, w, 10, 100)
		q.Push([]byte("hello"))
		if _, err := io.ReadFull(far, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
	}
	slow.Close([]byte("bye"), false)
	got := make([]byte, len(want)+3)
	if _, err := io.ReadFull(far, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, append(want, "bye"...)) {
		t.Error("the frames did not come whole and in order")
	}
	<-written
}

func TestWritersNoticeAPeerThatIsGone(t *testing.T) {
	w := StartWriters()
	defer w.Stop()
	near, far := tcp(t)
	q, written := newQueue(near, w, 1000, 1<<20)
	_ = far.SetLinger(0)
	_ = far.Close()
	for {
		q.Push([]byte("hello"))
		select {
		case <-written:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// What is pushed when the writers have stopped is written nevertheless.
func TestQueueOutlivesTheWriters(t *testing.T) {
	w := StartWriters()
	w.Stop()
	near, far := tcp(t)
	q, _ := newQueue(near, w, 10, 100)
	q.Push([]byte("hello"))
	if _, err := io.ReadFull(far, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
}

func TestPressureHoldsBackOnlyUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes but what is said to
		p := pressure{cost: usualCost, since: time.Now()}
		turns := func(n int, took, idle time.Duration) {
			for range n {
				p.since = p.since.Add(-took - idle) // as if so much time had passed
				p.add(took, 4)
			}
		}
		turns(1000, 10*time.Microsecond, time.Millisecond)
		if p.hold != 0 {
			t.Errorf("held back %v at one hundredth of the time", p.hold)
		}
		turns(20, time.Second, 0)
		if p.cost > 2*usualCost {
			t.Errorf("interrupted writes made the cost of one %v", p.cost)
		}
		turns(300_000, 10*time.Microsecond, 0)
		if p.hold != pressed.hold {
			t.Errorf("held back %v with nothing but writes, want %v", p.hold, pressed.hold)
		}
		turns(20_000, 10*time.Microsecond, time.Millisecond)
		if p.hold != 0 {
			t.Errorf("still held back %v when it was over", p.hold)
		}
	})
}

// Queues are not held back when nothing gathers for it, and longest when the
// machine has no time for anything else.
func TestPressureHoldsBackOnlyWhatGathers(t *testing.T) {
	for _, c := range []struct {
		name            string
		share           float64 // of the machine, if nothing gathered
		perHold         float64 // frames that gather in usual.hold
		atLeast, atMost time.Duration
	}{
		{"busy rooms", 0.34, 0.5, usual.hold, usual.hold},
		{"not so busy rooms", 0.23, 0.6, usual.hold / 4, usual.hold},
		{"quiet rooms", 0.5, 0.1, 0, holdStep},
		{"overload", 0.6, 1.1, pressed.hold - holdStep, pressed.hold},
		{"half way", 0.4, 1.2, usual.hold + holdStep, pressed.hold - holdStep},
	} {
		p := pressure{}
		for range 400 {
			gathered := 1 + c.perHold*float64(p.hold)/float64(usual.hold)
			p.decide(c.share/gathered, gathered)
		}
		if p.hold < c.atLeast || p.hold > c.atMost {
			t.Errorf("%s: held back for %v, want %v to %v", c.name, p.hold, c.atLeast, c.atMost)
		}
	}
}
