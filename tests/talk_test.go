package tests

import (
	"slices"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
)

// The main job: two people, one room, both ways.
func TestTwoPeopleTalk(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room := alice.Creates("Lunch")
	bob.Joins(room)
	alice.Follows(room)
	bob.Follows(room)

	sequence := alice.Sends(room, "hi, it's \"lunch\" <time> 🍜 점심 먹자")
	e := bob.Sees("hi, it's \"lunch\" <time> 🍜 점심 먹자")
	if e.Sequence != sequence || e.User() != alice.User.ID || e.Room != room || e.Stream != room.Stream() || e.Time.IsZero() {
		t.Errorf("bob got %+v, acked as %s", e, sequence)
	}
	bob.Sends(room, "coming")
	alice.Sees("coming")

	members, err := bob.Members(t.Context(), room)
	if err != nil || len(members) != 2 {
		t.Fatalf("members: %v, %v", members, err)
	}
	for _, m := range members {
		want := client.Member{User: bob.User.ID, Nickname: "bob", Role: chat.Plain}
		if m.User == alice.User.ID {
			want = client.Member{User: alice.User.ID, Nickname: "alice", Role: chat.Owner}
		}
		if m != want {
			t.Errorf("member %+v, want %+v", m, want)
		}
	}
	if got := texts(alice.Reads(room)); !slices.Equal(got, []string{"hi, it's \"lunch\" <time> 🍜 점심 먹자", "coming"}) {
		t.Errorf("history: %q", got)
	}
}

func TestDirectRoomIsOne(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	first, err := alice.Direct(t.Context(), bob.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	second, err := bob.Direct(t.Context(), alice.User.ID)
	if err != nil || second.ID != first.ID {
		t.Fatalf("alice's direct room is %s, bob's %s, %v", first.ID, second.ID, err)
	}
	bob.Follows(first.ID)
	alice.Sends(first.ID, "just us")
	bob.Sees("just us")
	eve := common(t).someone(t, "eve")
	if err := eve.Join(t.Context(), first.ID); chat.KindOf(err) != chat.NotFound && chat.KindOf(err) != chat.Forbidden {
		t.Errorf("a third person joins the direct room: %v", err)
	}
}

func TestHistoryPages(t *testing.T) {
	t.Parallel()
	alice := common(t).someone(t, "alice")
	room := alice.Creates("Long")
	var want []string
	for i := range 450 {
		want = append(want, word(i))
		alice.Sends(room, word(i))
	}
	if got := texts(alice.Reads(room)); !slices.Equal(got, want) {
		t.Errorf("forwards: %d messages, want %d, in their order", len(got), len(want))
	}
	var got []string
	for page := (client.Page{Limit: 100}); ; {
		messages, more, err := alice.Messages(t.Context(), room, page)
		if err != nil {
			t.Fatal(err)
		}
		got = append(texts(messages), got...)
		if more != (len(got) < len(want)) {
			t.Fatalf("more is %t after %d of %d", more, len(got), len(want))
		}
		if !more {
			break
		}
		page.Before = messages[0].Sequence
	}
	if !slices.Equal(got, want) {
		t.Errorf("backwards: %d messages, want %d, in their order", len(got), len(want))
	}
	m := alice.Reads(room)[7]
	if m.User != alice.User.ID || m.Nickname != "alice" || m.Time.IsZero() || m.ID == "" || m.Sequence == 0 {
		t.Errorf("message: %+v", m)
	}
}

// word is a word of its own for each number, which no stemmer changes.
func word(n int) string {
	const letters = "bcfghjkmnpqrtvwz"
	w := []byte("x")
	for range 5 {
		w = append(w, letters[n%len(letters)])
		n /= len(letters)
	}
	return string(w)
}

func TestUnreadAndRead(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	busy, quiet := alice.Creates("Busy"), alice.Creates("Quiet")
	bob.Joins(busy, quiet)
	alice.Sends(quiet, "first")
	alice.Sends(busy, "one")
	two := alice.Sends(busy, "two")
	three := alice.Sends(busy, "three")
	bob.Sends(busy, "my own is not unread")

	room := func(id chat.RoomID) client.Room {
		t.Helper()
		rooms, err := bob.Rooms(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(rooms, func(r client.Room) bool { return r.ID == id })
		if i < 0 {
			t.Fatalf("bob's rooms: %+v", rooms)
		}
		return rooms[i]
	}
	// What was acknowledged is in the list: nothing is waited for.
	if r := room(busy); r.Unread != 3 || r.LastMessage == nil || r.LastMessage.Text != "my own is not unread" {
		t.Errorf("want three unread messages, and the last one: %+v", r)
	}
	if rooms, _ := bob.Rooms(t.Context()); len(rooms) != 2 || rooms[0].ID != busy || rooms[0].Name != "Busy" || rooms[0].Kind != chat.Group {
		t.Errorf("the room with the latest message must come first: %+v", rooms)
	}
	if err := bob.Conn().Read(t.Context(), busy, two); err != nil {
		t.Fatal(err)
	}
	if r := room(busy); r.Unread != 1 || r.Read != two {
		t.Errorf("want one unread message: %+v", r)
	}
	if err := bob.Conn().Read(t.Context(), busy, three); err != nil {
		t.Fatal(err)
	}
	if err := bob.Conn().Read(t.Context(), busy, two); err != nil {
		t.Fatal(err)
	}
	if r := room(busy); r.Unread != 0 || r.Read != three {
		t.Errorf("want nothing unread: %+v", r)
	}
	if r := room(quiet); r.Unread != 1 {
		t.Errorf("the other room has %d unread messages, want 1", r.Unread)
	}
}

// Typing is told to the others of the room, at once or never: nothing of it is kept.
func TestTypingIsTold(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room := alice.Creates("Typing")
	bob.Joins(room)
	alice.Follows(room)
	bob.Follows(room)
	isTyping := func(e *chat.Event) bool { return e.Type == chat.TypingStarted && e.Room == room }
	for told := false; !told; { // a signal may be dropped
		bob.Conn().Typing(room)
		select {
		case e := <-alice.Conn().Events():
			if told = isTyping(&e); told && (e.User() != bob.User.ID || e.Sequence != 0) {
				t.Errorf("alice got %+v", e)
			}
		case <-time.After(2500 * time.Millisecond):
		}
	}
	bob.Sends(room, "what I typed")
	alice.Sees("what I typed")
	for _, e := range alice.ReadsEvents(room) {
		if isTyping(&e) {
			t.Error("history has a signal")
		}
	}
	// Nor is anything counted as unread, or told to who typed.
	if e := bob.SeesEvent("his own message", func(e *chat.Event) bool { return isTyping(e) || e.Type == chat.MessagePosted }); isTyping(&e) {
		t.Error("bob is told that he types")
	}
}
