package chattest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"knatter.dev/chat"
)

// EventStore checks a [chat.EventStore].
func EventStore(t *testing.T, open func(t *testing.T) chat.EventStore) {
	ctx := t.Context()

	t.Run("an event comes back as it was put", func(t *testing.T) {
		s := open(t)
		e := message("room", "alice", "id-1", chat.SequenceAt(31, 1<<40))
		e.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		e.Extensions = map[string]string{"custom": "값 \"quoted\""}
		e.Data = json.RawMessage(`{"text":"한글 < & >   😀\n","unknown":[1,{"a":null}]}`)
		other := logged(chat.MemberJoined, "room", "bob", "id-2", 5, chat.MemberData{User: "bob", Nickname: "밥", Role: chat.Plain})
		foreign := message("room", "", "id-3", 7)
		foreign.Source = "https://bots.example/weather?city=Seoul"
		must(t, s.Put(ctx, []chat.Event{e, other, foreign}))
		got, more, err := s.Events(ctx, "room", chat.Range{Limit: 10})
		must(t, err)
		wantEqual(t, "events", got, []chat.Event{other, foreign, e})
		if more {
			t.Fatal("more of all")
		}
	})

	t.Run("a scan has every message once, and what was changed", func(t *testing.T) {
		s := open(t)
		var want, events []chat.Event
		for i := range 600 {
			e := message(chat.RoomID(fmt.Sprintf("room-%d", i/200)), "alice", fmt.Sprint("id-", i), chat.Sequence(i+1))
			want = append(want, e)
			events = append(events, e)
		}
		events = append(events, logged(chat.MemberJoined, "room-1", "bob", "join", 1000, chat.MemberData{User: "bob", Nickname: "bob", Role: chat.Plain}))
		events = append(events, message("room-1", "alice", "id-250", 2000)) // resent
		changes := []chat.Event{
			logged(chat.MessageEdited, "room-1", "alice", "edit", 3000, chat.Edited{About: chat.About{Message: 2999}, Text: "edited"}),
			logged(chat.MessageDeleted, "room-1", "alice", "deletion", 4000, chat.About{Message: 2998}),
		}
		want = append(want, changes...)
		events = append(events, changes...)
		for seq := chat.Sequence(3001); seq < 3600; seq++ {
			events = append(events, logged(chat.ReactionAdded, "room-1", "bob", fmt.Sprint(seq), seq, chat.Reaction{About: chat.About{Message: 2999}, Emoji: "👍"}))
		}
		must(t, s.Put(ctx, events))
		var got []chat.Event
		must(t, s.Scan(ctx, func(messages []chat.Event) error {
			got = append(got, messages...)
			return nil
		}))
		wantEqual(t, "messages", got, want)
		stop := errors.New("stop")
		if err := s.Scan(ctx, func([]chat.Event) error { return stop }); !errors.Is(err, stop) {
			t.Fatalf("the scan ended with %v", err)
		}
	})

	t.Run("a batch of any size, with repeats", func(t *testing.T) {
		s := open(t)
		var want, batch []chat.Event
		for i := range 2500 {
			e := message(chat.RoomID(fmt.Sprintf("room-%d", i%3)), "alice", fmt.Sprint("id-", i), chat.Sequence(i+1))
			want = append(want, e)
			again := e
			again.Sequence += 10_000
			batch = append(batch, again, e)
		}
		must(t, s.Put(ctx, batch[:2000])) // so that some are there already
		must(t, s.Put(ctx, batch))
		got := make(map[chat.RoomID][]chat.Event)
		must(t, s.Scan(ctx, func(messages []chat.Event) error {
			for _, m := range messages {
				got[m.Stream.Room()] = append(got[m.Stream.Room()], m)
			}
			return nil
		}))
		wantEqual(t, "messages", got, firsts(want))
	})

	t.Run("nothing of nothing", func(t *testing.T) {
		s := open(t)
		must(t, s.Put(ctx, nil))
		events, more, err := s.Events(ctx, "room", chat.Range{Limit: 10})
		must(t, err)
		if len(events) != 0 || more {
			t.Fatalf("got %v, %v", events, more)
		}
		if first := firstOf(t, s, "room", "/users/alice", "id"); first != 0 {
			t.Fatalf("first = %d", first)
		}
		none, err := s.Firsts(ctx, nil)
		must(t, err)
		if len(none) != 0 {
			t.Fatalf("firsts of nothing: %v", none)
		}
		n, err := s.Unread(ctx, "room", "alice", chat.Range{Limit: 10})
		must(t, err)
		if n != 0 {
			t.Fatalf("unread = %d", n)
		}
	})

	t.Run("hidden types and users' streams are ignored", func(t *testing.T) {
		s := open(t)
		log := ofEachType("room")
		for i, e := range log {
			e.ID, e.Stream, e.Sequence = "own-"+e.ID, chat.StreamOf("alice"), chat.Sequence(len(log)+1+i)
			log = append(log, e)
		}
		must(t, s.Put(ctx, log))
		var kept []chat.Event
		for _, e := range log {
			if e.Kept() {
				kept = append(kept, e)
				continue
			}
			if first := firstOf(t, s, "room", e.Source, e.ID); first != 0 {
				t.Fatalf("%s %s is stored", e.Type, e.ID)
			}
		}
		events, _, err := s.Events(ctx, "room", chat.Range{Limit: len(log)})
		must(t, err)
		wantEqual(t, "the room", events, kept)
		events, _, err = s.Events(ctx, "@alice", chat.Range{Limit: len(log)})
		must(t, err)
		if len(events) != 0 {
			t.Fatalf("alice's stream holds %d events", len(events))
		}
	})

	t.Run("the first sequence wins in any order", func(t *testing.T) {
		shuffled(t, open, func(t *testing.T, s chat.EventStore, rnd *rand.Rand) {
			log := resentLog(rnd)
			for _, batch := range deliveries(rnd, log) {
				must(t, s.Put(ctx, batch))
			}
			for room, want := range firsts(log) {
				wantPages(t, s, room, want, rnd)
				of := slices.Clone(log)
				for i := range of {
					of[i].Stream = room.Stream()
				}
				all, err := s.Firsts(ctx, of)
				must(t, err)
				for n, e := range of {
					first := all[n]
					i := slices.IndexFunc(want, func(w chat.Event) bool { return w.Source == e.Source && w.ID == e.ID })
					if i < 0 && first != 0 || i >= 0 && first != want[i].Sequence {
						t.Fatalf("first of %s %s %s = %d", room, e.Source, e.ID, first)
					}
				}
			}
		})
	})

	t.Run("a lower sequence replaces one of another type", func(t *testing.T) {
		s := open(t)
		late := logged(chat.ReadAdvanced, "room", "alice", "same", 9, chat.ReadData{UpTo: 1})
		must(t, s.Put(ctx, []chat.Event{late}))
		must(t, s.Put(ctx, []chat.Event{message("room", "alice", "same", 8)}))
		events, _, err := s.Events(ctx, "room", chat.Range{Limit: 10})
		must(t, err)
		wantEqual(t, "events", events, []chat.Event{message("room", "alice", "same", 8)})
	})

	t.Run("no event takes another's place", func(t *testing.T) {
		s := open(t)
		first := []chat.Event{message("room", "alice", "a", 5), logged(chat.ReadAdvanced, "room", "bob", "b", 6, chat.ReadData{UpTo: 5})}
		must(t, s.Put(ctx, first))
		must(t, s.Put(ctx, first)) // the same are no others
		for name, e := range map[string]chat.Event{
			"another id":      message("room", "alice", "c", 5),
			"another sender":  message("room", "carol", "a", 5),
			"another type":    message("room", "alice", "d", 6),
			"that of a read":  logged(chat.ReadAdvanced, "room", "bob", "e", 5, chat.ReadData{UpTo: 5}),
			"with an origin":  handled(message("room", "alice", "f", 5), 2, 5),
			"and of no sense": handled(message("room", "alice", "g", 6), 0, 1),
		} {
			if err := s.Put(ctx, []chat.Event{e}); chat.KindOf(err) != chat.Conflict || err == nil {
				t.Errorf("%s: got %v, want Conflict", name, err)
			}
		}
		if err := s.Put(ctx, []chat.Event{message("room", "alice", "x", 7), message("room", "alice", "y", 7)}); chat.KindOf(err) != chat.Conflict || err == nil {
			t.Errorf("two of one batch: got %v, want Conflict", err)
		}
		must(t, s.Put(ctx, []chat.Event{message("other", "alice", "c", 5)})) // it is the room's place
		got, _, err := s.Events(ctx, "room", chat.Range{Before: 7, Limit: 10})
		must(t, err)
		wantEqual(t, "events", got, first)
	})

	t.Run("rooms and senders do not mix", func(t *testing.T) {
		s := open(t)
		log := []chat.Event{
			message("a", "alice", "1", 1), message("a", "bob", "1", 2),
			message("ab", "alice", "1", 3), message("a-", "alice", "1", 4), message("A", "alice", "1", 5),
		}
		must(t, s.Put(ctx, log))
		for room, want := range firsts(log) {
			got, _, err := s.Messages(ctx, room, chat.Range{Limit: 10})
			must(t, err)
			wantEqual(t, string(room), got, want)
		}
	})

	t.Run("a range ends exactly at its borders", func(t *testing.T) {
		s := open(t)
		var log []chat.Event
		for i := range 10 {
			seq := chat.Sequence(10 * (i + 1))
			log = append(log, message("room", "alice", fmt.Sprint(i), seq))
			if i%3 == 0 {
				log = append(log, logged(chat.ReadAdvanced, "room", "bob", fmt.Sprint(i), seq+5, chat.ReadData{UpTo: seq}))
			}
		}
		must(t, s.Put(ctx, log))
		for after := chat.Sequence(0); after <= 110; after += 5 {
			for before := chat.Sequence(0); before <= 115; before += 5 {
				for _, limit := range []int{1, 3, 10, 100} {
					for _, newest := range []bool{false, true} {
						wantPage(t, s, "room", log, chat.Range{After: after, Before: before, Limit: limit, Newest: newest})
					}
				}
			}
		}
	})

	t.Run("pages are bound by bytes", func(t *testing.T) {
		s := open(t)
		rnd := rand.New(rand.NewPCG(1, 1))
		var log []chat.Event
		for i := range 40 {
			e := logged(chat.MessagePosted, "room", "alice", fmt.Sprint(i), chat.Sequence(1+2*i), chat.Posted{Text: strings.Repeat("글", 1+rnd.IntN(4000))})
			log = append(log, e, logged(chat.ReadAdvanced, "room", "bob", fmt.Sprint("r", i), e.Sequence+1, chat.ReadData{UpTo: e.Sequence}))
		}
		must(t, s.Put(ctx, log))
		for _, bytes := range []int{1, 1000, 12_000, 100_000, 300_000, 1 << 20} {
			for _, limit := range []int{1, 7, 100} {
				for _, newest := range []bool{false, true} {
					wantPage(t, s, "room", log, chat.Range{After: 3, Before: 77, Limit: limit, Bytes: bytes, Newest: newest})
				}
			}
		}
	})

	t.Run("pages of messages do not read the other events", func(t *testing.T) {
		s := open(t)
		log := []chat.Event{message("room", "alice", "old", 1)}
		for i := range 20_000 {
			log = append(log, logged(chat.ReadAdvanced, "room", "bob", fmt.Sprint(i), chat.Sequence(2+i), chat.ReadData{UpTo: 1}))
		}
		for batch := range slices.Chunk(log, 1000) {
			must(t, s.Put(ctx, batch))
		}
		got, more, err := s.Messages(ctx, "room", chat.Range{Limit: 1, Newest: true})
		must(t, err)
		wantEqual(t, "messages", got, log[:1])
		if more {
			t.Fatal("more than one message")
		}
	})

	t.Run("unread counts others' messages up to the limit", func(t *testing.T) {
		s := open(t)
		var log []chat.Event
		for i := range 30 {
			user := chat.UserID("bob")
			if i%3 == 0 {
				user = "alice"
			}
			log = append(log, message("room", user, fmt.Sprint(i), chat.Sequence(i+1)))
		}
		log = append(log,
			logged(chat.ReadAdvanced, "room", "bob", "read", 40, chat.ReadData{UpTo: 1}),
			message("other", "bob", "other", 41))
		must(t, s.Put(ctx, log))
		for _, c := range []struct {
			user          chat.UserID
			after, before chat.Sequence
			limit         int
			want          int
		}{
			{"alice", 0, 0, 100, 20}, {"bob", 0, 0, 100, 10}, {"carol", 0, 0, 100, 30},
			{"alice", 1, 0, 100, 20}, {"alice", 2, 0, 100, 19}, {"carol", 29, 0, 100, 1}, {"carol", 30, 0, 100, 0}, {"carol", 99, 0, 100, 0},
			{"carol", 0, 0, 30, 30}, {"carol", 0, 0, 29, 29}, {"alice", 0, 0, 5, 5}, {"alice", 0, 0, 1, 1},
			{"carol", 0, 1, 100, 0}, {"carol", 0, 2, 100, 1}, {"carol", 10, 20, 100, 9}, {"carol", 10, 20, 3, 3}, {"carol", 10, 11, 100, 0},
			{"carol", 10, 5, 100, 0}, {"carol", 20, 99, 100, 10},
		} {
			n, err := s.Unread(ctx, "room", c.user, chat.Range{After: c.after, Before: c.before, Limit: c.limit})
			must(t, err)
			if n != c.want {
				t.Errorf("%+v: got %d", c, n)
			}
		}
	})

	// The log goes on, what is put of it is settled some time after, and members read.
	t.Run("unread counts the same again and again", func(t *testing.T) {
		s := open(t)
		rnd := rand.New(rand.NewPCG(3, 4))
		users := []chat.UserID{"alice", "bob", "carol"}
		read := make(map[chat.UserID]chat.Sequence)
		var log []chat.Event
		put, end := 0, chat.Sequence(1)
		for round := range 25 {
			for range rnd.IntN(3) * rnd.IntN(80) {
				end += chat.Sequence(1 + rnd.IntN(1+rnd.IntN(100))) // other rooms have the rest
				log = append(log, message("room", users[rnd.IntN(1+rnd.IntN(len(users)))], fmt.Sprint(end), end))
			}
			must(t, s.Put(ctx, log[put:]))
			settled := end + 1
			if put = len(log); rnd.IntN(2) == 0 && put > 10 {
				settled = log[put-rnd.IntN(10)-1].Sequence
			}
			for _, user := range users {
				if rnd.IntN(3) == 0 {
					read[user] += chat.Sequence(rnd.Int64N(1 + int64(end-read[user])))
				}
				r := chat.Range{After: read[user], Settled: settled, Limit: 1 + rnd.IntN(500)}
				if rnd.IntN(2) == 0 {
					r.Before = settled
				}
				if rnd.IntN(8) == 0 {
					r.Settled = 0
				}
				want := 0
				for i := range log {
					if e := &log[i]; e.User() != user && e.Sequence > r.After && (r.Before == 0 || e.Sequence < r.Before) && want < r.Limit {
						want++
					}
				}
				n, err := s.Unread(ctx, "room", user, r)
				must(t, err)
				if n != want {
					t.Fatalf("round %d: %s has %d unread in %+v, want %d", round, user, n, r, want)
				}
			}
		}
	})

	t.Run("concurrent puts", func(t *testing.T) {
		s := open(t)
		rnd := rand.New(rand.NewPCG(1, 2))
		log := resentLog(rnd)
		putConcurrently(t, rnd, 8, log, s.Put)
		for room, want := range firsts(log) {
			wantPages(t, s, room, want, rnd)
		}
	})
}

// resentLog is a log of a few rooms in which a third of the events are resent,
// under further sequences, some of them twice.
func resentLog(rnd *rand.Rand) []chat.Event {
	var log []chat.Event
	for seq := chat.Sequence(1); seq <= 120; seq++ {
		if len(log) > 0 && rnd.IntN(3) == 0 {
			again := log[rnd.IntN(len(log))]
			again.Sequence = seq
			again.Time = epoch // not the time of the first
			log = append(log, again)
			continue
		}
		room := chat.RoomID([]string{"one", "two"}[rnd.IntN(2)])
		user := chat.UserID([]string{"alice", "bob"}[rnd.IntN(2)])
		id := fmt.Sprint("id-", seq)
		if rnd.IntN(4) == 0 {
			log = append(log, logged(chat.ReadAdvanced, room, user, id, seq, chat.ReadData{UpTo: 1}))
		} else {
			log = append(log, message(room, user, id, seq))
		}
	}
	return log
}

// firsts is what a store holds of the log: for each room, the first of the events
// with the same source and id.
func firsts(log []chat.Event) map[chat.RoomID][]chat.Event {
	rooms := make(map[chat.RoomID][]chat.Event)
	seen := make(map[string]bool)
	for _, e := range log { // in the order of sequences
		key := strings.Join([]string{string(e.Stream), e.Source, e.ID}, " ")
		if !seen[key] {
			seen[key] = true
			room := e.Stream.Room()
			rooms[room] = append(rooms[room], e)
		}
	}
	return rooms
}

// wantPages reads ranges of a room, among them the whole.
func wantPages(t *testing.T, s chat.EventStore, room chat.RoomID, want []chat.Event, rnd *rand.Rand) {
	t.Helper()
	wantPage(t, s, room, want, chat.Range{Limit: 1000})
	for range 20 {
		wantPage(t, s, room, want, chat.Range{
			After:  chat.Sequence(rnd.IntN(120)),
			Before: chat.Sequence(rnd.IntN(130)),
			Limit:  1 + rnd.IntN(20),
			Newest: rnd.IntN(2) == 0,
		})
	}
}

// wantPage compares a range of Events and of Messages with what is stored.
func wantPage(t *testing.T, s chat.EventStore, room chat.RoomID, stored []chat.Event, r chat.Range) {
	t.Helper()
	for _, messages := range []bool{false, true} {
		var want []chat.Event
		for _, e := range stored {
			if e.Sequence > r.After && (r.Before == 0 || e.Sequence < r.Before) && (!messages || e.Type == chat.MessagePosted) {
				want = append(want, e)
			}
		}
		n := wantLength(want, r)
		wantMore := len(want) > n
		if wantMore && r.Newest {
			want = want[len(want)-n:]
		} else if wantMore {
			want = want[:n]
		}
		read := s.Events
		if messages {
			read = s.Messages
		}
		got, more, err := read(t.Context(), room, r)
		must(t, err)
		if len(got) != len(want) || len(got) > 0 && describe(got) != describe(want) || more != wantMore {
			t.Fatalf("%s, messages only %v, %+v:\n got %v %s\nwant %v %s", room, messages, r, more, describe(got), wantMore, describe(want))
		}
	}
}

// wantLength is how many of the events fit into a page, from the end that it is of.
func wantLength(events []chat.Event, r chat.Range) int {
	size := 0
	for n := range events {
		e := &events[n]
		if r.Newest {
			e = &events[len(events)-1-n]
		}
		size += len(e.AppendFrame(nil))
		if n == r.Limit || r.Bytes > 0 && n > 0 && size > r.Bytes {
			return n
		}
	}
	return len(events)
}

// firstOf asks for one event's first sequence.
func firstOf(t *testing.T, s chat.EventStore, room chat.RoomID, source, id string) chat.Sequence {
	t.Helper()
	firsts, err := s.Firsts(t.Context(), []chat.Event{{Stream: room.Stream(), Source: source, ID: id}})
	must(t, err)
	if len(firsts) != 1 {
		t.Fatalf("%d sequences for one event", len(firsts))
	}
	return firsts[0]
}
