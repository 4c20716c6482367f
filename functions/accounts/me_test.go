package accounts

import (
	"fmt"
	"testing"
	"time"

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
		logged, err := x.log.Tail(t.Context(), room.Stream())
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
	// The answer is the same whether or not anybody has the address, or is a friend.
	for _, email := range []string{"Bob@example.org", "nobody@example.org", "bob@example.org"} {
		if got := x.do("POST", "/v1/me/friends", token, object{"email": email}).want(202); got.Body.String() != "{}\n" || len(got.Header()) != 2 {
			t.Errorf("%s: %v %s", email, got.Header(), got.Body)
		}
	}
	if got := list(); got != fmt.Sprintf(`{"friends":[{"id":%q,"nickname":"bob"}]}`+"\n", bob) {
		t.Errorf("friends %s", got)
	}
	x.do("POST", "/v1/me/friends", token, object{"email": "alice@example.org"}).want(422)
	x.do("POST", "/v1/me/friends", "", object{"email": "bob@example.org"}).want(401)
	for range 2 {
		x.do("DELETE", "/v1/me/friends/"+string(bob), token, nil).want(204)
	}
	x.do("DELETE", "/v1/me/friends/a%2Fb", token, nil).want(404)
	if got := list(); got != `{"friends":[]}`+"\n" {
		t.Errorf("friends %s", got)
	}
}

// One client gets no further with many users of its own.
func TestFriendsAreLimited(t *testing.T) {
	x := setUpWithLog(t, nil)
	x.f.Limits = Limits{Friend: Rate{2, time.Hour}, Friends: Rate{3, time.Hour}}
	x.signUp("alice")
	x.signUp("bob")
	for _, c := range []struct {
		address, who string
		status       int
	}{{"192.0.2.1", "alice", 202}, {"192.0.2.1", "alice", 202}, {"192.0.2.2", "alice", 429}, {"192.0.2.1", "bob", 202}, {"192.0.2.1", "bob", 429}, {"192.0.2.3", "bob", 429}} {
		got := x.from(c.address, "POST", "/v1/me/friends", x.logIn(c.who).Access, object{"email": "nobody@example.org"}).want(c.status)
		if c.status == 429 && got.Header().Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
}
