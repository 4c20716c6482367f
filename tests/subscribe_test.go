package tests

import (
	"fmt"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
)

// border is the data of room.subscribed.
type border struct {
	Room     chat.RoomID   `json:"room"`
	Sequence chat.Sequence `json:"sequence"`
	Complete bool          `json:"complete"`
}

func (w *Wire) isSubscribed(room chat.RoomID) border {
	w.t.Helper()
	var b border
	e := w.Gets(chat.RoomSubscribed)
	if err := e.Decode(&b); err != nil || b.Room != room {
		w.t.Fatalf("room.subscribed: %s, %v", e.Data, err)
	}
	return b
}

func (w *Wire) getsText(text string) chat.Event {
	w.t.Helper()
	e := w.Gets(chat.MessagePosted)
	if got := textOf(w.t, &e); got != text {
		w.t.Fatalf("got %q, want %q", got, text)
	}
	return e
}

// What was missed, then room.subscribed with the border, then what is live.
func TestSubscribing(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room := alice.Creates("Room")
	bob.Joins(room)
	one := alice.Sends(room, "one")
	two := alice.Sends(room, "two")
	alice.Sends(room, "three")

	w := bob.Wire()
	w.Follows(room, one.String())
	if e := w.getsText("two"); e.Sequence != two {
		t.Errorf("two has sequence %s, acked as %s", e.Sequence, two)
	}
	three := w.getsText("three")
	b := w.isSubscribed(room)
	if !b.Complete || b.Sequence < three.Sequence {
		t.Errorf("border: %+v after %s", b, three.Sequence)
	}
	alice.Sends(room, "four")
	if e := w.getsText("four"); e.Sequence <= b.Sequence {
		t.Errorf("live event %s is not above the border %s", e.Sequence, b.Sequence)
	}

	fromNow := bob.Wire()
	fromNow.Follows(room, "")
	if b := fromNow.isSubscribed(room); !b.Complete {
		t.Errorf("border: %+v", b)
	}
	fromStart := bob.Wire()
	fromStart.Follows(room, "0000000000000000")
	for _, typ := range []chat.Type{chat.RoomCreated, chat.MemberJoined, chat.MemberJoined} {
		fromStart.Gets(typ)
	}
	for _, text := range []string{"one", "two", "three", "four"} {
		fromStart.getsText(text)
	}
	fromStart.isSubscribed(room)
	alice.Sends(room, "five")
	for _, w := range []*Wire{w, fromNow, fromStart} {
		w.getsText("five")
	}

	// The sender is a subscriber as any other: it gets the ack and the event.
	id := w.Says(room, "six")
	gotAck, gotEvent := false, false
	for range 2 {
		switch e := w.Next(); {
		case e.Type == chat.Ack:
			gotAck = true
		case textOf(t, &e) == "six" && e.ID == id:
			gotEvent = true
		}
	}
	if !gotAck || !gotEvent {
		t.Errorf("ack %t, event %t", gotAck, gotEvent)
	}

	w.Sends(chat.RoomUnsubscribe, "", map[string]any{"rooms": []any{map[string]any{"room": room}}})
	if e := w.Next(); e.Type != chat.RoomUnsubscribed {
		t.Errorf("got %s", e.Type)
	}
	alice.Sends(room, "seven")
	fromNow.getsText("six")
	fromNow.getsText("seven")
	w.IsAlive() // and nothing before that answer
}

func TestTooMuchMissed(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room := alice.Creates("Much")
	bob.Joins(room)
	w := alice.Wire()
	const missed = 1100
	for i := 0; i < missed; i += 100 {
		var ids []string
		for j := range 100 {
			ids = append(ids, w.Says(room, fmt.Sprint(i+j)))
		}
		for _, id := range ids {
			w.GetsAck(id)
		}
		if i == 900 { // below the rate limit
			w = alice.Wire()
		}
	}
	first := bob.Reads(room)[0].Sequence

	late := bob.Wire()
	late.Follows(room, first.String())
	last := first
	for {
		e := late.Next()
		if e.Type == chat.RoomSubscribed {
			var b border
			if err := e.Decode(&b); err != nil || b.Complete || b.Sequence < last {
				t.Errorf("room.subscribed: %s, %v", e.Data, err)
			}
			break
		}
		if e.Sequence <= last {
			t.Fatalf("%s after %s", e.Sequence, last)
		}
		last = e.Sequence
	}
	conn := bob.Connects(client.Options{})
	if err := conn.SubscribeAfter(t.Context(), room, first); err != nil {
		t.Fatal(err)
	}
	alice.Sends(room, "live")
	for i := 1; i < missed; i++ {
		if e := <-conn.Events(); textOf(t, &e) != fmt.Sprint(i) {
			t.Fatalf("got %s where %d should be", e.Data, i)
		}
	}
	if e := <-conn.Events(); textOf(t, &e) != "live" {
		t.Errorf("then %s", e.Data)
	}
	if st := conn.Stats(); st.Paged == 0 || st.Repeated > 0 {
		t.Errorf("stats: %+v", st)
	}
}

func TestAllRooms(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	before, later, made := alice.Creates("Before"), alice.Creates("Later"), alice.Creates("Invited")
	bob.Joins(before)
	bob.Conn().SubscribeAll()
	bob.Follows(before) // confirmed: the subscription to all was handled before
	alice.Sends(before, "in the room of before")
	bob.Sees("in the room of before")

	bob.Joins(later)
	bob.SeesEvent("himself joining", func(e *chat.Event) bool { return e.Type == chat.MemberJoined && e.Room == later })
	alice.Sends(later, "in the room of later")
	bob.Sees("in the room of later")

	if err := alice.Invite(t.Context(), made, bob.User.ID); err != nil {
		t.Fatal(err)
	}
	alice.Sends(made, "you were invited")
	bob.Sees("you were invited")
	own := bob.Creates("Bob's")
	alice.Joins(own)
	alice.Sends(own, "in bob's own")
	bob.Sees("in bob's own")

	bob.Conn().Unsubscribe(later)
	bob.Follows(before)
	alice.Sends(later, "unheard")
	alice.Sends(before, "heard")
	if seen := bob.SeesUntil("heard"); len(seen) != 0 {
		t.Errorf("bob saw %q", seen)
	}
}
