package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
	"knatter.dev/chat/internal/wait"
)

// crowd is pairs of people, each pair in a room and on different connectors, who
// send as they are told and check all that they get.
type crowd struct {
	cluster *Cluster
	pairs   []*pair
}

type pair struct {
	alice, bob *Person
	room       chat.RoomID

	mu       sync.Mutex
	sent     map[chat.Sequence]string // by alice, acknowledged
	received []chat.Event             // messages, by bob
	got      chan struct{}            // something was received
}

func (c *Cluster) crowd(t *testing.T, pairs int) *crowd {
	t.Helper()
	return c.crowdAt(t, pairs, func(person int) int { return person % connectors })
}

func (c *Cluster) crowdAt(t *testing.T, pairs int, connector func(person int) int) *crowd {
	t.Helper()
	cr := &crowd{cluster: c}
	for i := range pairs {
		p := &pair{alice: c.someone(t, connector(i), fmt.Sprint("alice-", i)), bob: c.someone(t, connector(i+1), fmt.Sprint("bob-", i)),
			sent: map[chat.Sequence]string{}, got: make(chan struct{}, 1)}
		p.room = c.room(t, p.alice, p.bob)
		cr.pairs = append(cr.pairs, p)
		for _, conn := range []*client.Conn{p.alice.Conn, p.bob.Conn} {
			go func() { // ends with the connection, when the test does
				for e := range conn.Events() {
					if conn == p.bob.Conn && e.Type == chat.MessagePosted {
						p.mu.Lock()
						p.received = append(p.received, e)
						p.mu.Unlock()
						select {
						case p.got <- struct{}{}:
						default:
						}
					}
				}
			}()
		}
	}
	return cr
}

// talks has every pair send until ctx ends or each has sent so many messages, with a
// pause between two. What is under way when ctx ends is still sent.
func (cr *crowd) talks(ctx context.Context, t *testing.T, messages int, pause time.Duration) (count int, acks []time.Duration) {
	t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	for n, p := range cr.pairs {
		all.Go(func() {
			for i := 0; i < messages && ctx.Err() == nil; i++ {
				text := fmt.Sprintf("pair %d says %d", n, i)
				begin := time.Now()
				patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
				sequence, err := p.alice.Conn.Send(patient, p.room, text)
				cancel()
				if err != nil {
					t.Errorf("pair %d cannot send: %v", n, err)
					return
				}
				p.mu.Lock()
				p.sent[sequence] = text
				p.mu.Unlock()
				mu.Lock()
				count++
				acks = append(acks, time.Since(begin))
				mu.Unlock()
				wait.For(pause, ctx.Done())
			}
		})
	}
	all.Wait()
	return count, acks
}

// check wants that all which was acknowledged was received and is in the history,
// once and in order, and that nothing waits any more.
func (cr *crowd) check(t *testing.T) {
	t.Helper()
	for n, p := range cr.pairs {
		timeout := time.After(patience)
		for waiting := true; waiting; {
			p.mu.Lock()
			missing := len(p.sent) - len(p.received)
			p.mu.Unlock()
			if missing <= 0 {
				break
			}
			select {
			case <-p.got:
			case <-timeout:
				t.Errorf("pair %d: %d of %d messages were not received", n, missing, len(p.sent))
				waiting = false
			}
		}
		p.mu.Lock()
		wrong := compare(p.sent, p.received, func(e chat.Event) (chat.Sequence, string) {
			var posted chat.Posted
			if err := e.Decode(&posted); err != nil {
				t.Errorf("pair %d: %v", n, err)
			}
			return e.Sequence, posted.Text
		})
		p.mu.Unlock()
		if wrong != "" {
			t.Errorf("pair %d, received: %s", n, wrong)
		}
		if wrong := compare(p.sent, p.bob.Reads(p.room), func(m client.Message) (chat.Sequence, string) { return m.Sequence, m.Text }); wrong != "" {
			t.Errorf("pair %d, history: %s", n, wrong)
		}
	}
	cr.cluster.settles(t)
}

// settles waits until all that is in the log was handled by every event function.
// (Whether it can be found others ask: FerretDB reads the whole index for a search.)
func (c *Cluster) settles(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.brokers, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for {
		lags, err := kadm.NewClient(client).Lag(ctx, chat.Persist.Group, chat.Index.Group, chat.Fanout.Group)
		if err == nil {
			err = lags.Error()
		}
		left := int64(0)
		for _, group := range lags {
			left += group.Lag.Total()
		}
		switch {
		case err == nil && left == 0:
			return
		case ctx.Err() != nil:
			t.Errorf("%d events are not handled yet: %v", left, err)
			return
		}
		wait.For(200*time.Millisecond, ctx.Done())
	}
}

// compare says what is wrong with what was got.
func compare[T any](sent map[chat.Sequence]string, got []T, of func(T) (chat.Sequence, string)) string {
	var last chat.Sequence
	texts := map[string]bool{}
	for i, g := range got {
		sequence, text := of(g)
		switch {
		case i > 0 && sequence <= last:
			return fmt.Sprintf("%s comes after %s", sequence, last)
		case texts[text]:
			return fmt.Sprintf("%q comes twice", text)
		case sent[sequence] != text:
			return fmt.Sprintf("%s is %q, acknowledged was %q", sequence, text, sent[sequence])
		}
		last, texts[text] = sequence, true
	}
	if len(got) != len(sent) {
		return fmt.Sprintf("%d messages of %d", len(got), len(sent))
	}
	return ""
}

// reconnects is how often the people's connections were made anew.
func (cr *crowd) reconnects() (n int) {
	for _, p := range cr.pairs {
		n += p.alice.Conn.Stats().Connects + p.bob.Conn.Stats().Connects - 2
	}
	return n
}
