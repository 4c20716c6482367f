package tests

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
	"knatter.dev/chat/internal/wait/waittest"
)

func TestWhoIsNotAMember(t *testing.T) {
	t.Parallel()
	alice, eve := common(t).two(t)
	mallory := common(t).someone(t, "mallory")
	room := alice.Creates("Private")
	alice.Sends(room, "confidentialword")
	waittest.Until(t, "alice finds it", func() bool { return len(alice.Finds(client.Search{Text: "confidentialword"})) == 1 })

	w := eve.Wire()
	w.IsRefused(w.Follows(room, ""), http.StatusForbidden)
	w.IsRefused(w.Follows(room, "0000000000000000"), http.StatusForbidden)
	w.IsRefused(w.Says(room, "let me in"), http.StatusForbidden)
	w.IsRefused(w.Sends(chat.ReadAdvanced, room, chat.ReadData{UpTo: 5}), http.StatusForbidden)
	w.IsRefused(w.Says("no-such-room", "anybody?"), http.StatusForbidden)
	w.IsRefused(w.Follows("@"+chat.RoomID(alice.User.ID), ""), http.StatusUnprocessableEntity)
	_, err := eve.Post(t.Context(), chat.Event{ID: "1", Source: "/x", Type: chat.MessagePosted, Room: room, Data: []byte(`{"text":"x"}`)})
	wantKind(t, "posting over HTTP", err, chat.Forbidden)

	hidden := func(what string, err error) {
		t.Helper()
		if kind := chat.KindOf(err); err == nil || kind != chat.Forbidden && kind != chat.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, _, err = eve.Messages(t.Context(), room, client.Page{})
	hidden("messages", err)
	_, err = eve.Events(t.Context(), room, client.Page{})
	hidden("events", err)
	_, err = eve.Members(t.Context(), room)
	hidden("members", err)
	hidden("renaming", eve.RenameRoom(t.Context(), room, "Eve's"))
	hidden("inviting", eve.Invite(t.Context(), room, mallory.User.ID))
	hidden("removing", eve.Remove(t.Context(), room, alice.User.ID))
	if hits := eve.Finds(client.Search{Text: "confidentialword"}); len(hits) != 0 {
		t.Errorf("search: %+v", hits)
	}
	if hits, _, err := eve.Search(t.Context(), client.Search{Text: "confidentialword", Room: room}); len(hits) != 0 {
		t.Errorf("search in the room: %+v, %v", hits, err)
	}
	if got := texts(alice.Reads(room)); !slices.Equal(got, []string{"confidentialword"}) {
		t.Errorf("history: %q", got)
	}
	_, err = alice.Room(t.Context(), "no-such-room")
	hidden("a room that is not there", err)
	wantKind(t, "joining a room that is not there", eve.Join(t.Context(), "no-such-room"), chat.NotFound)
}

func TestRemovedMemberReceivesNothingMore(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room, fence := alice.Creates("Room"), alice.Creates("Fence")
	bob.Joins(room, fence)
	w := bob.Wire()
	w.Follows(room, "")
	w.Gets(chat.RoomSubscribed)
	w.Follows(fence, "")
	w.Gets(chat.RoomSubscribed)
	all := bob.Wire()
	all.Sends(chat.RoomSubscribe, "", map[string]bool{"all": true})
	all.Gets(chat.RoomSubscribed)
	all.Gets(chat.RoomSubscribed)
	alice.Sends(room, "for both")

	wantKind(t, "bob removes alice", bob.Remove(t.Context(), room, alice.User.ID), chat.Forbidden)
	if err := alice.Remove(t.Context(), room, bob.User.ID); err != nil {
		t.Fatal(err)
	}
	alice.Sends(room, "secretword")
	alice.Sends(fence, "the fence")
	for _, w := range []*Wire{w, all} {
		// Rooms have no order among each other: the fence may come before the removal.
		for removed, fenced := false, false; !removed || !fenced; {
			e := w.Next()
			text := textOf(t, &e)
			if text == "secretword" {
				t.Error("bob received a message after he was removed")
			}
			removed = removed || e.Type == chat.MemberRemoved && e.Room == room
			fenced = fenced || text == "the fence"
		}
		w.IsRefused(w.Says(room, "still here?"), http.StatusForbidden)
		w.IsRefused(w.Follows(room, "0000000000000000"), http.StatusForbidden)
	}
	_, _, err := bob.Messages(t.Context(), room, client.Page{})
	wantKind(t, "reading", err, chat.Forbidden)
	waittest.Until(t, "alice finds it", func() bool { return len(alice.Finds(client.Search{Text: "secretword"})) == 1 })
	if hits := bob.Finds(client.Search{Text: "secretword"}); len(hits) != 0 {
		t.Errorf("bob finds %+v", hits)
	}
	rooms, err := bob.Rooms(t.Context())
	if err != nil || len(rooms) != 1 || rooms[0].ID != fence {
		t.Errorf("bob's rooms: %+v, %v", rooms, err)
	}
}

func TestLeavingAndComingBack(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room := alice.Creates("Door")
	bob.Joins(room)
	alice.Follows(room)
	if err := bob.Leave(t.Context(), room); err != nil {
		t.Fatal(err)
	}
	alice.SeesEvent("bob leaving", func(e *chat.Event) bool { return e.Type == chat.MemberLeft })
	_, err := bob.Events(t.Context(), room, client.Page{})
	wantKind(t, "reading after leaving", err, chat.Forbidden)
	bob.Joins(room)
	bob.Joins(room) // twice is once
	e := alice.SeesEvent("bob joining", func(e *chat.Event) bool { return e.Type == chat.MemberJoined })
	var m chat.MemberData
	if err := e.Decode(&m); err != nil || m.User != bob.User.ID || m.Nickname != "bob" || m.Role != chat.Plain {
		t.Errorf("joined: %+v, %v", m, err)
	}
	bob.Follows(room)
	alice.Sends(room, "welcome back")
	bob.Sees("welcome back")
	joins := 0
	for _, e := range alice.ReadsEvents(room) {
		if e.Type == chat.MemberJoined {
			joins++
		}
	}
	if joins > 3 { // alice, bob, bob again
		t.Errorf("%d member.joined events", joins)
	}
}

// A stranger's invitation changes nothing until it is accepted.
func TestInvitationByAStranger(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	first, second := alice.Creates("First"), alice.Creates("Second")
	for _, room := range []chat.RoomID{first, second} {
		if err := alice.Invite(t.Context(), room, bob.User.ID); err != nil {
			t.Fatal(err)
		}
	}
	if rooms, err := bob.Rooms(t.Context()); err != nil || len(rooms) != 0 {
		t.Errorf("bob's rooms: %+v, %v", rooms, err)
	}
	w := bob.Wire()
	w.IsRefused(w.Follows(first, ""), http.StatusForbidden)
	if err := bob.Decline(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	waiting, err := bob.Invitations(t.Context())
	if err != nil || len(waiting) != 1 || waiting[0].Room != first || waiting[0].Name != "First" || waiting[0].By.ID != alice.User.ID || time.Since(waiting[0].Time.Time).Abs() > time.Minute {
		t.Fatalf("waiting: %+v, %v", waiting, err)
	}
	for _, e := range alice.ReadsEvents(first) {
		if e.Type.Hidden() {
			t.Errorf("alice sees %s", e.Type)
		}
	}
	bob.Conn().SubscribeAll()
	bob.Joins(first)
	bob.SeesEvent("himself joining", func(e *chat.Event) bool { return e.Type == chat.MemberJoined && e.Room == first })
	alice.Sends(first, "welcome")
	bob.Sees("welcome")
	if waiting, err = bob.Invitations(t.Context()); err != nil || len(waiting) != 0 {
		t.Errorf("still waiting: %+v, %v", waiting, err)
	}
}

// What a client says of an event's source, time, place and stream has no effect.
func TestForgedAttributes(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room, other := alice.Creates("Here"), alice.Creates("There")
	bob.Joins(room)
	w := bob.Wire()
	w.Follows(room, "")
	w.Gets(chat.RoomSubscribed)
	before := alice.Sends(room, "before")
	w.SendsRaw(`{"specversion":"1.0","id":"forged","source":"/users/` + string(alice.User.ID) + `","type":"dev.knatter.message.posted",` +
		`"subject":"` + string(room) + `","time":"1999-01-01T00:00:00Z","sequence":"0000000000000001","partitionkey":"` + string(other) + `",` +
		`"knativekafkaoffset":"7","knativekafkapartition":"3","data":{"text":"forged","user":"` + string(alice.User.ID) + `","sequence":"1"}}`)
	sequence := w.GetsAck("forged")
	if sequence <= before {
		t.Errorf("acked as %s after %s", sequence, before)
	}
	check := func(where string, e chat.Event) {
		t.Helper()
		if e.User() != bob.User.ID || e.Stream != room.Stream() || e.Room != room || e.Sequence != sequence ||
			time.Since(e.Time).Abs() > time.Minute || len(e.Extensions) > 0 || string(e.Data) != `{"text":"forged"}` {
			t.Errorf("%s: %s", where, e.AppendFrame(nil))
		}
	}
	conn := alice.Connects(client.Options{})
	if err := conn.SubscribeAfter(t.Context(), room, before); err != nil {
		t.Fatal(err)
	}
	check("replay", <-conn.Events())
	events := alice.ReadsEvents(room)
	check("history", events[len(events)-1])
	if m := alice.Reads(room); m[1].User != bob.User.ID || m[1].Nickname != "bob" {
		t.Errorf("message: %+v", m[1])
	}
	if got := texts(alice.Reads(other)); len(got) != 0 {
		t.Errorf("the other room has %q", got)
	}

	for _, row := range chat.EventTypes {
		if row.Sender == chat.ByClient {
			continue
		}
		data, _ := json.Marshal(map[string]any{"user": bob.User.ID, "nickname": "boss", "role": "owner", "name": "mine", "connector": 0, "session": "x"})
		w := bob.Wire()
		w.IsRefused(w.Sends(row.Type, room, json.RawMessage(data)), http.StatusForbidden)
	}
	members, err := alice.Members(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if m.User == bob.User.ID && (m.Role != chat.Plain || m.Nickname != "bob") {
			t.Errorf("bob made himself %+v", m)
		}
	}
	if r, err := alice.Room(t.Context(), room); err != nil || r.Name != "Here" {
		t.Errorf("room: %+v, %v", r, err)
	}
	long := bob.Wire()
	long.IsRefused(long.Says(room, strings.Repeat("가", 4001)), http.StatusUnprocessableEntity)
	long.GetsAck(long.Says(room, strings.Repeat("가", 4000)))
	long.IsRefused(long.Says(room, ""), http.StatusUnprocessableEntity)
}
