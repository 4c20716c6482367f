package accounts

import (
	"fmt"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/members"
)

func TestNicknameReachesTheRooms(t *testing.T) {
	x := setUp(t)
	id := x.signUp("minji")
	token := x.logIn("minji").Access
	rooms := []chat.RoomID{"room-1", "room-2"}
	for _, room := range rooms {
		e, err := chat.NewEvent("e", id, chat.MemberJoined, room, chat.MemberData{User: id, Nickname: "minji", Role: chat.Moderator})
		if err != nil {
			t.Fatal(err)
		}
		if err := members.Publish(t.Context(), x.log, x.store.Rooms(), e); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if me := x.do("PATCH", "/v1/me", token, object{"nickname": "지민"}).want(200).body(); me["nickname"] != "지민" {
			t.Errorf("me %v", me)
		}
	}
	for _, room := range rooms {
		logged, err := x.log.Tail(t.Context(), room)
		if err != nil || len(logged) != 2 {
			t.Fatalf("%s: logged %+v, %v; want joined and, once, updated", room, logged, err)
		}
		var d chat.MemberData
		if e := logged[1]; e.Type != chat.MemberUpdated || e.User() != id || e.Decode(&d) != nil || d.Nickname != "지민" || d.Role != chat.Moderator {
			t.Errorf("%s: logged %+v", room, e)
		}
		if m, err := x.store.Rooms().Membership(t.Context(), room, id); err != nil || m.Nickname != "지민" || !m.Active {
			t.Errorf("%s: %+v, %v", room, m, err)
		}
	}
	copies, err := x.log.Tail(t.Context(), chat.StreamOf(id))
	if err != nil || len(copies) != 4 || copies[2].Type != chat.MemberUpdated || copies[2].Room == copies[3].Room {
		t.Errorf("copies %+v, %v", copies, err)
	}
	x.do("PATCH", "/v1/me", token, object{"nickname": ""}).want(422)
	x.do("PATCH", "/v1/me", "", object{"nickname": "a"}).want(401)
	if user := x.logIn("minji").User; user.Nickname != "지민" {
		t.Errorf("after the next login: %+v", user)
	}
}

func TestFriends(t *testing.T) {
	x := setUpWithLog(t, nil)
	bob := x.signUp("bob")
	x.signUp("alice")
	token := x.logIn("alice").Access
	list := func() string { return x.do("GET", "/v1/me/friends", token, nil).want(200).Body.String() }
	if got := list(); got != `{"friends":[]}`+"\n" {
		t.Errorf("friends %s", got)
	}
	for _, status := range []int{201, 200} {
		if got := x.do("POST", "/v1/me/friends", token, object{"email": "Bob@example.org"}).want(status).body(); got["id"] != string(bob) || len(got) != 2 {
			t.Errorf("friend %v", got)
		}
	}
	if got := list(); got != fmt.Sprintf(`{"friends":[{"id":%q,"nickname":"bob"}]}`+"\n", bob) {
		t.Errorf("friends %s", got)
	}
	x.do("POST", "/v1/me/friends", token, object{"email": "alice@example.org"}).want(422)
	x.do("POST", "/v1/me/friends", token, object{"email": "nobody@example.org"}).want(404)
	x.do("POST", "/v1/me/friends", "", object{"email": "bob@example.org"}).want(401)
	for range 2 {
		x.do("DELETE", "/v1/me/friends/"+string(bob), token, nil).want(204)
	}
	x.do("DELETE", "/v1/me/friends/a%2Fb", token, nil).want(404)
	if got := list(); got != `{"friends":[]}`+"\n" {
		t.Errorf("friends %s", got)
	}
}
