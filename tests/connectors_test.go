package tests

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
	"knatter.dev/chat/internal/wait/waittest"
	"knatter.dev/chat/tests/engines/processes/fleet"
)

// processes is the chat as processes of its own, which the stories of this file are
// about; nil without them.
var processes *fleet.Fleet

// needsProcesses skips a story that starts and stops single connectors.
func needsProcesses(t *testing.T) *fleet.Fleet {
	t.Helper()
	if processes == nil {
		skip(t, "needs connectors that are processes of their own: KNATTER_TEST_STAGE=processes")
	}
	return processes
}

// balancer dials connectors in turn, as a load balancer does, passing over those
// that do not answer.
type balancer struct {
	flaky
	mu        sync.Mutex
	addresses []string
	next      int
	dialled   map[string]int
}

func newBalancer(urls []string) *balancer {
	b := &balancer{dialled: make(map[string]int)}
	for _, url := range urls {
		b.add(url)
	}
	return b
}

func (b *balancer) add(url string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addresses = append(b.addresses, strings.TrimPrefix(url, "http://"))
}

func (b *balancer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	b.mu.Lock()
	addresses := append(append([]string(nil), b.addresses[b.next%len(b.addresses):]...), b.addresses[:b.next%len(b.addresses)]...)
	b.next++
	b.mu.Unlock()
	var errs []error
	for _, address := range addresses {
		c, err := b.flaky.dial(ctx, network, address)
		if err == nil {
			b.mu.Lock()
			b.dialled[address]++
			b.mu.Unlock()
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// busyRoom is a room in which people talk without pause, and some watch.
type busyRoom struct {
	t        *testing.T
	id       chat.RoomID
	owner    *Person
	total    int
	watching sync.WaitGroup
	sending  sync.WaitGroup
	seen     [][]place
	count    []atomic.Int64 // of messages seen, by watcher
	conns    []*client.Conn
}

// talk lets senders send total messages, about a hundred a second of all, and one
// watcher for each of the options watch.
func talk(t *testing.T, s *Server, total int, senders client.Options, watchers ...client.Options) *busyRoom {
	t.Helper()
	room, connections := crowd(t, s, 6, senders)
	for i := range connections {
		connections[i].limiter = rate.NewLimiter(15, 5)
	}
	b := &busyRoom{t: t, id: room, owner: connections[0].person, total: total, seen: make([][]place, len(watchers)), count: make([]atomic.Int64, len(watchers))}
	for i, o := range watchers {
		o.MaxBackoff = time.Second
		p := s.someone(t, fmt.Sprintf("watcher%d", i)) // on the connectors in turn
		p.Joins(room)
		conn := p.Connects(o)
		if err := conn.SubscribeAfter(t.Context(), room, 0); err != nil {
			t.Fatal(err)
		}
		b.conns = append(b.conns, conn)
		b.watching.Go(func() { b.seen[i] = watchCounting(conn, total, &b.count[i]) })
	}
	b.sending.Go(func() { sendAll(t, connections, room, total) })
	return b
}

// sees waits until every watcher has seen so many messages more, or all. What they
// missed comes from history, for which FerretDB reads all messages that there are.
func (b *busyRoom) sees(messages int64) {
	b.t.Helper()
	for i := range b.count {
		goal := min(b.count[i].Load()+messages, int64(b.total))
		waittest.Within(b.t, 4*patience, fmt.Sprintf("watcher %d sees %d messages more", i, messages), func() bool { return b.count[i].Load() >= goal })
	}
}

// ends waits for all to be sent and seen, and compares what was seen with history.
func (b *busyRoom) ends() {
	b.t.Helper()
	b.sending.Wait()
	b.watching.Wait()
	var history []place
	for _, e := range b.owner.ReadsEvents(b.id) {
		history = append(history, place{e.Sequence, e.ID})
	}
	if posted := len(texts(b.owner.Reads(b.id))); posted != b.total {
		b.t.Errorf("history has %d messages, want %d", posted, b.total)
	}
	for i, got := range b.seen {
		if diff := difference(got, history); diff != "" {
			b.t.Errorf("watcher %d and history: %s", i, diff)
		}
	}
}

// People on two connectors see the same, in the same order.
func TestConnectorsShareOneOrder(t *testing.T) {
	needsProcesses(t)
	talk(t, common(t), 500, client.Options{}, client.Options{}, client.Options{}).ends()
}

// A connector that is killed and comes back with its ordinal has its partition
// again; who was on it has lost nothing, whether they wait for it or go elsewhere.
func TestKilledConnectorComesBack(t *testing.T) {
	f := needsProcesses(t)
	elsewhere := newBalancer(f.URLs())
	b := talk(t, common(t), 900, client.Options{}, client.Options{}, client.Options{}, client.Options{Dial: elsewhere.dial}, client.Options{Dial: elsewhere.dial})
	for _, name := range []string{"connector-1", "connector-0"} {
		b.sees(60)
		if err := f.Kill(name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // those who wait for it try in vain
		if err := f.Restart(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	b.ends()
	reconnected := 0
	for _, conn := range b.conns {
		if conn.Stats().Connects > 1 {
			reconnected++
		}
	}
	if reconnected != len(b.conns) {
		t.Errorf("%d of %d watchers connected again, though each connector was killed", reconnected, len(b.conns))
	}

	// Live deliveries come to both again.
	alice, bob := common(t).two(t)
	room := alice.Creates("After that")
	bob.Joins(room)
	alice.Follows(room)
	bob.Follows(room)
	alice.Sends(room, "are you there?")
	bob.Sees("are you there?")
	bob.Sends(room, "I am")
	alice.Sees("I am")
}

// A connector more, and one less, are a reconnect for some and nothing for others.
func TestConnectorsComeAndGo(t *testing.T) {
	f := needsProcesses(t)
	urls := f.URLs()
	over := newBalancer(urls)
	o := client.Options{Dial: over.dial}
	b := talk(t, common(t), 900, o, o, o, o)
	b.sees(60)
	added, err := f.AddConnector(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := f.URLs()
	if len(all) != len(urls)+1 {
		t.Fatalf("connectors at %v", all)
	}
	over.add(all[len(all)-1])
	over.cut() // as a balancer that spreads anew
	b.sees(60)
	if err := f.Stop(added); err != nil {
		t.Fatal(err)
	}
	b.ends()
	if n := over.dialled[strings.TrimPrefix(all[len(all)-1], "http://")]; n == 0 {
		t.Error("nobody was on the connector that was added")
	}
}
