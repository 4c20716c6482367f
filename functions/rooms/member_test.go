package rooms

import (
	"strings"
	"testing"

	"knatter.dev/chat"
)

func TestJoinAndInvite(t *testing.T) {
	x := setUp(t)
	alice, bob, carol, dave := x.person("alice"), x.person("bob"), x.person("carol"), x.person("dave")
	room := alice.creates("r")
	path := "/v1/rooms/" + room + "/members"
	equal(t, "joined", bob.does("POST", path, object{}, 201)["role"], "member")
	bob.does("POST", path, object{}, 200)
	bob.does("POST", path, object{"user": bob.id}, 200)
	dave.does("POST", path, object{"user": carol.id}, 403)
	carol.befriends(bob)
	equal(t, "invited", bob.does("POST", path, object{"user": carol.id}, 201), object{"user": carol.id, "nickname": "carol", "role": "member"})
	bob.does("POST", path, object{"user": carol.id}, 200)
	bob.does("POST", path, object{"user": "nobody"}, 404)
	bob.does("POST", path, object{"user": "@"}, 404)
	bob.does("POST", path, object{"user": 1}, 400)
	for _, other := range []string{"none-such-room", "@" + string(bob.id), "a%2Fb", strings.Repeat("a", 65)} {
		bob.does("POST", "/v1/rooms/"+other+"/members", object{}, 404)
		bob.does("GET", "/v1/rooms/"+other, nil, 404)
	}
	equal(t, "members", carol.members(room), "map[alice:owner bob:member carol:member]")
	equal(t, "log", x.logged(chat.StreamID(room)), []string{"room.created r", "member.joined alice owner", "member.joined bob member", "member.joined carol member"})
	equal(t, "carol's stream, told again", x.logged(chat.StreamOf(carol.id)), []string{"member.joined carol member", "member.joined carol member"})
}

func TestLeave(t *testing.T) {
	x := setUp(t)
	alice, bob, carol := x.person("alice"), x.person("bob"), x.person("carol")
	room := alice.creates("r")
	bob.joins(room)
	carol.joins(room)
	leave := func(p *person, status int) {
		t.Helper()
		p.does("DELETE", "/v1/rooms/"+room+"/members/"+string(p.id), nil, status)
	}
	leave(alice, 204)
	equal(t, "members: the first after her is the owner", bob.members(room), "map[bob:owner carol:member]")
	leave(alice, 204) // again
	equal(t, "alice's stream", x.logged(chat.StreamOf(alice.id)), []string{"member.joined alice owner", "member.left alice owner", "member.left alice owner"})
	equal(t, "bob's stream", x.logged(chat.StreamOf(bob.id)), []string{"member.joined bob member", "member.updated bob owner"})
	alice.does("GET", "/v1/rooms/"+room, nil, 403)
	equal(t, "alice's rooms", len(alice.rooms()), 0)
	alice.joins(room)
	equal(t, "members", bob.members(room), "map[alice:member bob:owner carol:member]")
	leave(x.person("dave"), 404)
	for _, p := range []*person{bob, carol, alice} {
		leave(p, 204)
	}
	equal(t, "log", x.logged(chat.StreamID(room)), []string{
		"room.created r", "member.joined alice owner", "member.joined bob member", "member.joined carol member",
		"member.left alice owner", "member.updated bob owner", "member.joined alice member",
		"member.left bob owner", "member.updated carol owner", "member.left carol owner", "member.updated alice owner", "member.left alice owner",
	})
	bob.joins(room) // an empty room stays, its code too
	equal(t, "who enters an empty room owns it", bob.members(room), "map[bob:owner]")
}

func TestRemove(t *testing.T) {
	x := setUp(t)
	alice, mod, bob, carol, dave := x.person("alice"), x.person("mod"), x.person("bob"), x.person("carol"), x.person("dave")
	room := alice.creates("r")
	path := "/v1/rooms/" + room + "/members/"
	for _, p := range []*person{mod, bob, carol} {
		p.joins(room)
	}
	alice.does("PATCH", path+string(mod.id), object{"role": "moderator"}, 200)
	remove := func(by, whom *person, status int) {
		t.Helper()
		by.does("DELETE", path+string(whom.id), nil, status)
	}
	remove(dave, bob, 403)
	remove(carol, bob, 403)
	remove(mod, alice, 403)
	remove(alice, dave, 404)
	remove(mod, bob, 204)
	remove(mod, bob, 204) // again
	equal(t, "bob's stream", x.logged(chat.StreamOf(bob.id)), []string{"member.joined bob member", "member.removed bob member", "member.removed bob member"})
	bob.does("GET", "/v1/rooms/"+room, nil, 403)

	// The code lets nobody in again who was removed, and leaving does not help.
	remove(bob, bob, 204)
	bob.does("POST", "/v1/rooms/"+room+"/members", object{}, 403)
	carol.does("POST", "/v1/rooms/"+room+"/members", object{"user": bob.id}, 403)
	x.persist(room)
	bob.does("POST", "/v1/rooms/"+room+"/members", object{}, 403)
	bob.befriends(mod)
	mod.does("POST", "/v1/rooms/"+room+"/members", object{"user": bob.id}, 201)
	remove(bob, bob, 204)
	bob.joins(room) // now it was he who left

	remove(alice, mod, 204)
	equal(t, "members", alice.members(room), "map[alice:owner bob:member carol:member]")
}

// persist stores what is logged, as the persist function does.
func (x *fixture) persist(room string) {
	x.Helper()
	events, err := x.log.Tail(x.Context(), chat.StreamID(room))
	if err != nil {
		x.Fatal(err)
	}
	if err := x.store.Events().Put(x.Context(), events); err != nil {
		x.Fatal(err)
	}
	if err := x.store.Rooms().Apply(x.Context(), events); err != nil {
		x.Fatal(err)
	}
}

func TestChangeRole(t *testing.T) {
	x := setUp(t)
	alice, bob := x.person("alice"), x.person("bob")
	room := alice.creates("r")
	path := "/v1/rooms/" + room + "/members/"
	bob.joins(room)
	bob.does("PATCH", path+string(bob.id), object{"role": "owner"}, 403)
	alice.does("PATCH", path+string(bob.id), object{"role": "king"}, 422)
	alice.does("PATCH", path+"nobody", object{"role": "owner"}, 404)
	alice.does("PATCH", path+string(alice.id), object{"role": "member"}, 409)
	for range 2 {
		equal(t, "answer", alice.does("PATCH", path+string(bob.id), object{"role": "owner"}, 200), object{"user": bob.id, "nickname": "bob", "role": "owner"})
	}
	alice.does("PATCH", path+string(alice.id), object{"role": "member"}, 200)
	equal(t, "members", bob.members(room), "map[alice:member bob:owner]")
	bob.does("DELETE", path+string(alice.id), nil, 204)
}
