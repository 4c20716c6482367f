package tests

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
)

// Whoever has applied every event up to some place has just what a fresh load shows there:
// those who follow from the beginning, who come and go, who were away for more than is
// replayed, and who began with a page of history in the middle of it.
func TestSync(t *testing.T) {
	s := own(t)
	const people, fence = 4, "that is all"
	everyone := make([]*Person, people)
	for i := range everyone {
		everyone[i] = s.someone(t, fmt.Sprint("person", i))
	}
	rooms := []chat.RoomID{everyone[0].Creates("One"), everyone[0].Creates("Two"), everyone[0].Creates("Three")}
	for _, p := range everyone[1:] {
		p.Joins(rooms...)
	}

	var watching sync.WaitGroup
	watchers := []*watcher{
		{Person: everyone[0]}, // from the beginning
		{Person: everyone[1], away: 50 * time.Millisecond},
		{Person: everyone[2], away: 2 * time.Second},
		{Person: everyone[3], late: true},
	}
	for i, w := range watchers {
		w.folds, w.after = make(map[chat.RoomID]*client.Fold), make(map[chat.RoomID]chat.Sequence)
		w.rnd = rand.New(rand.NewPCG(uint64(i), 7))
		for _, room := range rooms {
			w.folds[room] = client.NewFold(w.User.ID)
		}
		watching.Go(func() { w.watch(rooms, fence) })
	}

	var living sync.WaitGroup
	for i, p := range everyone {
		living.Go(func() { p.lives(rooms, rand.New(rand.NewPCG(uint64(i), 1)), size(150, 1500), i == 0) })
	}
	living.Wait()
	for _, room := range rooms {
		everyone[0].Sends(room, fence)
	}
	watching.Wait()
	for i, w := range watchers {
		for _, room := range rooms {
			w.compare(i, room)
		}
		t.Logf("watcher %d connected %d times, and paged %d events", i, w.connects, w.paged)
	}
}

// lives does anything at all to rooms' messages.
func (p *Person) lives(rooms []chat.RoomID, rnd *rand.Rand, n int, moderates bool) {
	known := make(map[chat.RoomID][]chat.Sequence)
	conn := p.Connects(client.Options{MaxBackoff: time.Second})
	ctx := p.t.Context()
	for i := range n {
		room := rooms[rnd.IntN(len(rooms))]
		about := known[room]
		if len(about) < 3 || rnd.IntN(3) == 0 {
			m := chat.Posted{Text: fmt.Sprintf("%s %d", p.User.Nickname, i)}
			if len(about) > 0 && rnd.IntN(3) == 0 {
				m.ReplyTo = about[rnd.IntN(len(about))]
			}
			if at, err := conn.Post(ctx, room, m); err == nil {
				known[room] = append(known[room], at)
			} else if chat.KindOf(err) != chat.NotFound { // what it replies to was deleted
				p.t.Errorf("posting: %v", err)
			}
			if rnd.IntN(20) == 0 {
				page, _, err := p.Messages(ctx, room, client.Page{Limit: 50}) // the others' messages too
				if err != nil {
					p.t.Errorf("reading: %v", err)
				}
				for _, m := range page {
					known[room] = append(known[room], m.Sequence)
				}
			}
			continue
		}
		m := about[rnd.IntN(len(about))]
		emoji := []string{"👍", "❤️", "🎉"}[rnd.IntN(3)]
		var err error
		switch rnd.IntN(8) {
		case 0, 1:
			err = conn.Edit(ctx, room, m, fmt.Sprintf("%s edited %d", p.User.Nickname, i))
		case 2:
			err = conn.Delete(ctx, room, m)
		case 3, 4:
			err = conn.React(ctx, room, m, emoji)
		case 5:
			err = conn.Unreact(ctx, room, m, emoji)
		case 6:
			if moderates {
				err = conn.Pin(ctx, room, m)
			}
		case 7:
			if moderates {
				err = conn.Unpin(ctx, room, m)
			} else if i%10 == 0 {
				err = p.Rename(ctx, fmt.Sprintf("%s, the %dth", p.User.Nickname, i))
			}
		}
		if k := chat.KindOf(err); err != nil && k != chat.NotFound && k != chat.Forbidden && k != chat.Invalid { // deleted, not one's own, too many pins
			p.t.Errorf("event %d: %v", i, err)
		}
		if moderates && i == n/2 { // more than is replayed
			for batch := range 3 {
				var events []chat.Event
				for j := range 500 {
					events = append(events, chat.Event{
						ID: fmt.Sprintf("burst-%d-%d", batch, j), Source: "/x", Type: chat.MessagePosted, Room: rooms[0],
						Data: fmt.Appendf(nil, `{"text":"burst %d %d"}`, batch, j),
					})
				}
				if _, err := p.Post(ctx, events...); err != nil {
					p.t.Errorf("burst: %v", err)
				}
				time.Sleep(time.Second) // of real time, which the rates go by
			}
		}
	}
}

// watcher follows rooms and folds what it sees.
type watcher struct {
	*Person
	away time.Duration // so long, again and again
	late bool          // begins with history, somewhere in the middle
	rnd  *rand.Rand

	folds           map[chat.RoomID]*client.Fold
	after           map[chat.RoomID]chat.Sequence
	connects, paged int
}

func (w *watcher) watch(rooms []chat.RoomID, fence string) {
	ctx := w.t.Context()
	if w.late {
		time.Sleep(500 * time.Millisecond) // others live
		for _, room := range rooms {
			for page := (client.Page{Limit: 200}); ; {
				h, err := w.History(ctx, room, page)
				if err != nil {
					w.t.Errorf("history: %v", err)
					return
				}
				w.folds[room].Load(h.Messages, h.Sequence)
				if w.after[room] == 0 {
					w.after[room] = h.Sequence
				}
				if !h.More {
					break
				}
				page.Before = h.Messages[0].Sequence
			}
		}
	}
	ended := make(map[chat.RoomID]bool)
	for len(ended) < len(rooms) {
		conn := w.Connects(client.Options{MaxBackoff: time.Second})
		w.connects++
		for _, room := range rooms {
			if err := conn.SubscribeAfter(ctx, room, w.after[room]); err != nil {
				w.t.Errorf("subscribing: %v", err)
				return
			}
		}
		until := time.Now().Add(time.Hour)
		if w.away > 0 {
			until = time.Now().Add(time.Duration(100+w.rnd.IntN(400)) * time.Millisecond)
		}
		w.follow(conn, until, fence, ended)
		w.paged += conn.Stats().Paged
		_ = conn.Close()
		time.Sleep(w.away) // others live
	}
}

// follow folds events until a moment, or until all rooms have ended.
func (w *watcher) follow(conn *client.Conn, until time.Time, fence string, ended map[chat.RoomID]bool) {
	timeout := time.After(time.Until(until))
	for len(ended) < len(w.folds) {
		select {
		case e, ok := <-conn.Events():
			if !ok {
				w.t.Errorf("disconnected: %v", conn.Err())
				return
			}
			if e.Sequence == 0 {
				continue
			}
			w.folds[e.Room].Apply(&e)
			w.after[e.Room] = e.Sequence
			if textOf(w.t, &e) == fence {
				ended[e.Room] = true
			}
		case <-timeout:
			return
		case <-time.After(3 * patience):
			w.t.Errorf("%s hears nothing any more", w.User.Nickname)
			ended["nothing"], ended["more"], ended["is heard"] = true, true, true
			return
		}
	}
}

// compare holds what was folded against a fresh load.
func (w *watcher) compare(i int, room chat.RoomID) {
	w.t.Helper()
	want, got := w.Reads(room), w.folds[room].Messages()
	if len(got) != len(want) {
		w.t.Errorf("watcher %d has %d messages of %d", i, len(got), len(want))
		return
	}
	different := 0
	for j := range want {
		a, _ := json.Marshal(withoutMarks(got[j]))
		b, _ := json.Marshal(withoutMarks(want[j]))
		if string(a) != string(b) {
			if different++; different < 4 {
				w.t.Errorf("watcher %d has\n%s, a fresh load\n%s", i, a, b)
			}
		}
	}
	if different > 0 {
		w.t.Errorf("watcher %d: %d of %d messages differ", i, different, len(want))
	}
}

// withoutMarks is a message without what read marks say of it.
func withoutMarks(m client.Message) client.Message {
	m.UnreadBy = nil
	return m
}
