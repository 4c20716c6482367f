package tests

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
	"knatter.dev/chat/internal/wait/waittest"
)

// Killed at any moment, the server loses nothing that it acknowledged and has
// nothing twice.
func TestKilledUnderLoad(t *testing.T) {
	s := own(t)
	room, connections := crowd(t, s, 6, client.Options{})
	owner := connections[0].person

	var mu sync.Mutex
	tried := make(map[string]bool)          // texts
	acked := make(map[string]chat.Sequence) // by text
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var sending sync.WaitGroup
	for i, c := range connections {
		for j := range 8 {
			sending.Go(func() {
				for n := 0; ctx.Err() == nil && c.limiter.Wait(ctx) == nil; n++ {
					text := fmt.Sprintf("crash %s", word(n*64+i*8+j))
					mu.Lock()
					tried[text] = true
					mu.Unlock()
					// Half of them give up at once when the server is gone.
					one, cancel := context.WithTimeout(ctx, time.Duration(1+j%2*60)*time.Second)
					sequence, err := c.conn.Send(one, room, text)
					cancel()
					if err == nil {
						mu.Lock()
						acked[text] = sequence
						mu.Unlock()
					}
				}
			})
		}
	}
	more := func() {
		t.Helper()
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(acked)
		}
		want := count() + 100
		waittest.Until(t, "100 messages more are acknowledged", func() bool { return count() >= want })
	}
	for range size(2, 6) {
		more()
		s.Kill9(t)
		s.Start(t)
	}
	more()
	stop()
	sending.Wait()
	t.Logf("%d messages acknowledged of %d tried", len(acked), len(tried))
	if len(acked) < 100 {
		t.Errorf("too few to show anything")
	}

	count := make(map[string]int)
	where := make(map[string]chat.Sequence)
	history := owner.Reads(room)
	for _, m := range history {
		count[m.Text]++
		where[m.Text] = m.Sequence
	}
	for text := range tried {
		switch sequence, ok := acked[text]; {
		case count[text] > 1:
			t.Errorf("%q is in history %d times", text, count[text])
		case ok && count[text] == 0:
			t.Errorf("%q was acknowledged as %s and is lost", text, sequence)
		case ok && where[text] > sequence:
			t.Errorf("%q was acknowledged as %s and is at %s", text, sequence, where[text])
		}
	}
	var found []client.Hit
	waittest.Until(t, "search finds what history has", func() bool {
		found = owner.Finds(client.Search{Text: "crash", Room: room, Limit: 100})
		return len(found) >= len(history)
	})
	for i, h := range found {
		if where[h.Text] != h.Sequence {
			t.Errorf("search has %q at %s, history at %s", h.Text, h.Sequence, where[h.Text])
		}
		if i > 0 && h.Time.After(found[i-1].Time.Time) {
			t.Errorf("hit %d is newer than the one before it", i)
		}
		delete(where, h.Text)
	}
	if len(where) > 0 {
		t.Errorf("search does not find %d of %d messages", len(where), len(history))
	}
}

// A message that is sent again with its id after a lost connection is one message.
func TestResentMessageIsOne(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room := alice.Creates("Once")
	bob.Joins(room)
	bob.Follows(room)
	send := func(w *Wire) chat.Sequence {
		t.Helper()
		e := chat.Event{ID: "the-same-id", Source: "/x", Type: chat.MessagePosted, Room: room, Data: []byte(`{"text":"onlyonce"}`)}
		w.SendsRaw(string(e.AppendFrame(nil)))
		return w.GetsAck("the-same-id")
	}
	w := alice.Wire()
	first := send(w)
	_ = w.netConn().Close() // as if the ack had not come
	if again := send(alice.Wire()); again < first {
		t.Errorf("acked as %s, then as %s", first, again)
	}
	acks, err := alice.Post(t.Context(), chat.Event{ID: "the-same-id", Source: "/x", Type: chat.MessagePosted, Room: room,
		Data: []byte(`{"text":"onlyonce"}`)})
	if err != nil || len(acks) != 1 {
		t.Errorf("acks: %v, %v", acks, err)
	}
	alice.Sends(room, "after that")

	once := func(messages []client.Message) {
		t.Helper()
		if len(messages) != 2 || messages[0].Sequence != first || messages[0].Text != "onlyonce" {
			t.Errorf("history: %+v", messages)
		}
	}
	once(alice.Reads(room))
	if before := bob.SeesUntil("after that"); !slices.Equal(before, []string{"onlyonce"}) {
		t.Errorf("bob saw %q", before)
	}
	waittest.Until(t, "search finds it", func() bool { return len(alice.Finds(client.Search{Text: "onlyonce"})) > 0 })
	waittest.Until(t, "search finds what came after", func() bool { return len(alice.Finds(client.Search{Text: "after"})) > 0 })
	if hits := alice.Finds(client.Search{Text: "onlyonce"}); len(hits) != 1 || hits[0].Sequence != first {
		t.Errorf("search: %+v", hits)
	}
	once(alice.Reads(room)) // persisted by now
	replayed := bob.Connects(client.Options{})
	if err := replayed.SubscribeAfter(t.Context(), room, 0); err != nil {
		t.Fatal(err)
	}
	if got := watch(replayed, 2); got[len(got)-2].sequence != first {
		t.Errorf("replay: %v", got)
	}
	if st := replayed.Stats(); st.Resent != 0 {
		t.Errorf("the replay has it twice: %+v", st)
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	s := own(t)
	alice, bob := s.two(t)
	room := alice.Creates("Keep")
	bob.Joins(room)
	bob.Follows(room)
	alice.Sends(room, "before the restart")
	bob.Sees("before the restart")
	open := bob.Wire()
	members, err := bob.Members(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}

	s.Stop(t)
	open.IsClosedWith(1001)
	s.Start(t)

	alice.Sends(room, "after the restart")
	bob.Sees("after the restart")
	if got := texts(bob.Reads(room)); !slices.Equal(got, []string{"before the restart", "after the restart"}) {
		t.Errorf("history: %q", got)
	}
	again, err := bob.Members(t.Context(), room)
	if err != nil || !slices.Equal(again, members) {
		t.Errorf("members: %v, were %v, %v", again, members, err)
	}
	if err := bob.Refresh(t.Context()); err != nil {
		t.Errorf("bob's session: %v", err)
	}
	bob.LogsIn()
	waittest.Until(t, "search finds both", func() bool { return len(bob.Finds(client.Search{Text: "restart"})) == 2 })
}

func TestSecondProcessOnTheSameData(t *testing.T) {
	s := own(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for what, more := range map[string][]string{
		"the same data":                    nil,
		"the same data, another store":     {"--store", "pebble:" + t.TempDir()},
		"the same data, a store in memory": {"--store", "memory:"},
	} {
		args := append([]string{"--listen", "127.0.0.1:0", "--admin", "", "--data", s.dir}, more...)
		out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
		if ctx.Err() != nil || err == nil {
			t.Fatalf("%s: it goes on: %v\n%s", what, err, out)
		}
		said := string(out)
		if !strings.Contains(said, s.dir) || !strings.Contains(said, "process") || strings.Contains(said, "goroutine ") || strings.Count(said, "\n") > 3 {
			t.Errorf("%s: it does not say clearly that another process uses %s:\n%s", what, s.dir, said)
		}
	}
	alice := s.someone(t, "alice")
	alice.Sends(alice.Creates("Still here"), "unharmed")
}
