package tests

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
)

// place is an event as subscribers and history have to agree on it.
type place struct {
	sequence chat.Sequence
	id       string
}

// Subscribers of a busy room see exactly the same events in the same order, which
// is history's, and so does one that loses its connection again and again, at full
// size about every second.
func TestBusyRoomIsTheSameForAll(t *testing.T) {
	s := own(t)
	total, senders := size(5_000, 100_000), size(6, 40)
	room, connections := crowd(t, s, senders, client.Options{})
	owner := connections[0].person

	var watching sync.WaitGroup
	seen := make([][]place, 3)
	var stats [3]client.Stats
	lines := new(flaky)
	for i := range seen {
		o := client.Options{MaxBackoff: time.Second}
		if i == 2 {
			o.Dial = lines.dial
		}
		conn := owner.Connects(o)
		if err := conn.SubscribeAfter(t.Context(), room, 0); err != nil {
			t.Fatal(err)
		}
		watching.Go(func() {
			seen[i] = watch(conn, total)
			stats[i] = conn.Stats()
		})
	}
	stop := lines.cutEvery(time.Duration(size(150, 1000)) * time.Millisecond)
	begin := time.Now()
	sendAll(t, connections, room, total)
	sent := time.Since(begin)
	watching.Wait()
	stop()
	t.Logf("%d events in %v, seen %v later; the third subscriber connected %d times",
		total, sent.Round(time.Millisecond), (time.Since(begin) - sent).Round(time.Millisecond), stats[2].Connects)

	var history []place
	for _, e := range owner.ReadsEvents(room) {
		history = append(history, place{e.Sequence, e.ID})
	}
	if posted := len(texts(owner.Reads(room))); posted != total {
		t.Errorf("history has %d messages, want %d", posted, total)
	}
	for i, got := range seen {
		if diff := difference(got, history); diff != "" {
			t.Errorf("subscriber %d and history: %s", i, diff)
		}
		if stats[i].Repeated > 0 || stats[i].Resent > 0 {
			t.Errorf("subscriber %d was sent events twice: %+v", i, stats[i])
		}
	}
	if stats[2].Connects < 2 {
		t.Errorf("the third subscriber never lost its connection")
	}
}

// difference says where two lists differ first.
func difference(got, want []place) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("place %d: got %v, want %v", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d events, want %d", len(got), len(want))
	}
	return ""
}

// watch reads until it has so many messages, or none comes for long.
func watch(conn *client.Conn, messages int) []place {
	return watchCounting(conn, messages, new(atomic.Int64))
}

// watchCounting is watch, and counts the messages as they come.
func watchCounting(conn *client.Conn, messages int, count *atomic.Int64) []place {
	var seen []place
	for timeout := time.NewTimer(patience); messages > 0; {
		select {
		case e, ok := <-conn.Events():
			if !ok {
				return seen
			}
			timeout.Reset(patience)
			seen = append(seen, place{e.Sequence, e.ID})
			if e.Type == chat.MessagePosted {
				messages--
				count.Add(1)
			}
		case <-timeout.C:
			return seen
		}
	}
	return seen
}

// connection is one of several by which people send at once.
type connection struct {
	person  *Person
	conn    *client.Conn
	limiter *rate.Limiter // a bit below the server's limit
}

// crowd makes a room and connections of its members.
func crowd(t *testing.T, s *Server, connections int, o client.Options) (chat.RoomID, []connection) {
	t.Helper()
	const perPerson = 10
	o.MaxBackoff = time.Second
	var all []connection
	var room chat.RoomID
	for len(all) < connections {
		p := s.someone(t, fmt.Sprintf("person%d", len(all)))
		if room == "" {
			room = p.Creates("Crowd")
		} else {
			p.Joins(room)
		}
		for range min(perPerson, connections-len(all)) {
			conn := p.Connects(o)
			limits := conn.Limits()
			all = append(all, connection{p, conn, rate.NewLimiter(rate.Limit(limits.FramesPerSecond)*0.9, limits.Burst*9/10)})
		}
	}
	return room, all
}

// sendAll sends messages, as many at once as is good for the server's throughput.
func sendAll(t *testing.T, connections []connection, room chat.RoomID, total int) {
	t.Helper()
	const inFlight = 16
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	numbers := make(chan int)
	var sending sync.WaitGroup
	for _, c := range connections {
		for range inFlight {
			sending.Go(func() {
				for {
					if err := c.limiter.Wait(ctx); err != nil {
						return
					}
					n, ok := <-numbers
					if !ok {
						return
					}
					if _, err := c.conn.Send(ctx, room, fmt.Sprintf("number %d", n)); err != nil {
						t.Errorf("number %d: %v", n, err)
					}
				}
			})
		}
	}
	for n := range total {
		numbers <- n
	}
	close(numbers)
	sending.Wait()
}

// flaky is a network that loses connections.
type flaky struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (f *flaky) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		f.mu.Lock()
		f.conns = append(f.conns, c)
		f.mu.Unlock()
	}
	return c, err
}

func (f *flaky) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.conns = nil
}

// cutEvery loses the connections again and again until stop is called.
func (f *flaky) cutEvery(d time.Duration) (stop func()) {
	done := make(chan struct{})
	var cutting sync.WaitGroup
	cutting.Go(func() {
		ticks := time.NewTicker(d)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				f.cut()
			case <-done:
				return
			}
		}
	})
	return func() { close(done); cutting.Wait() }
}
