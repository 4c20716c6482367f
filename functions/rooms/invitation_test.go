package rooms

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/attempts"
)

func (p *person) befriends(other *person) {
	p.x.Helper()
	if err := p.x.store.Accounts().Befriend(p.x.Context(), p.id, other.id); err != nil {
		p.x.Fatal(err)
	}
}

// invitations is what waits for p, each as "name by nickname".
func (p *person) invitations() (list []string) {
	p.x.Helper()
	for _, i := range p.does("GET", "/v1/me/invitations", nil, 200)["invitations"].([]any) {
		i := i.(object)
		list = append(list, fmt.Sprintf("%s by %s", i["name"], i["by"].(object)["nickname"]))
	}
	return list
}

func (p *person) invites(room string, whom *person, status int) object {
	p.x.Helper()
	return p.does("POST", "/v1/rooms/"+room+"/members", object{"user": whom.id}, status)
}

func (p *person) leaves(room string, status int) {
	p.x.Helper()
	p.does("DELETE", "/v1/rooms/"+room+"/members/"+string(p.id), nil, status)
}

// A stranger's invitation counts for nothing until it is accepted.
func TestInvitationWaits(t *testing.T) {
	x := setUp(t)
	alice, bob := x.person("alice"), x.person("bob")
	room := alice.creates("r")
	equal(t, "nothing waits", bob.does("GET", "/v1/me/invitations", nil, 200), object{"invitations": []any{}})
	for range 2 {
		equal(t, "answer", alice.invites(room, bob, 202), object{"user": bob.id})
	}
	got := bob.does("GET", "/v1/me/invitations", nil, 200)["invitations"].([]any)[0].(object)
	if at, _ := got["time"].(string); !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(at) {
		t.Errorf("time %v", got["time"])
	}
	delete(got, "time")
	equal(t, "invitation", got, object{"room": room, "name": "r", "by": object{"id": alice.id, "nickname": "alice"}})
	equal(t, "log", x.logged(chat.StreamID(room)), []string{"room.created r", "member.joined alice owner", "member.invited bob member"})

	equal(t, "members", alice.members(room), "map[alice:owner]")
	equal(t, "bob's rooms", len(bob.rooms()), 0)
	bob.does("GET", "/v1/rooms/"+room, nil, 403)
	bob.does("GET", "/v1/rooms/"+room+"/members", nil, 403)
	bob.does("PATCH", "/v1/rooms/"+room, object{"name": "b"}, 403)
	bob.invites(room, alice, 403)
	alice.does("PATCH", "/v1/rooms/"+room+"/members/"+string(bob.id), object{"role": "owner"}, 404)

	bob.joins(room)
	equal(t, "accepted", alice.members(room), "map[alice:owner bob:member]")
	equal(t, "nothing waits", len(bob.invitations()), 0)
	bob.leaves(room, 204)
	equal(t, "nothing waits", len(bob.invitations()), 0)
}

func TestInvitationEnds(t *testing.T) {
	x := setUp(t)
	alice, bob, carol, mod := x.person("alice"), x.person("bob"), x.person("carol"), x.person("mod")
	room := alice.creates("r")
	carol.joins(room)
	mod.joins(room)
	alice.does("PATCH", "/v1/rooms/"+room+"/members/"+string(mod.id), object{"role": "moderator"}, 200)
	withdraw := func(by *person, status int) {
		t.Helper()
		by.does("DELETE", "/v1/rooms/"+room+"/members/"+string(bob.id), nil, status)
	}
	for _, end := range []func(){
		func() { bob.leaves(room, 204) },
		func() { withdraw(alice, 204) },
		func() { withdraw(mod, 204) },
	} {
		alice.invites(room, bob, 202)
		withdraw(carol, 403)
		equal(t, "waits", bob.invitations(), []string{"r by alice"})
		end()
		equal(t, "nothing waits", len(bob.invitations()), 0)
		bob.leaves(room, 404)
	}
	carol.invites(room, bob, 202)
	withdraw(carol, 204)
	carol.invites(room, bob, 202)
	alice.invites(room, bob, 202) // the later one counts
	equal(t, "waits", bob.invitations(), []string{"r by alice"})
	carol.invites(room, bob, 202)
	carol.leaves(room, 204)
	equal(t, "of somebody who has left", len(bob.invitations()), 0)
	equal(t, "log", x.replayed(room), "map[alice:owner mod:moderator]")
}

// Who was removed comes back by an owner's or a moderator's invitation, which waits
// too.
func TestInvitationAfterRemoval(t *testing.T) {
	x := setUp(t)
	alice, bob, carol := x.person("alice"), x.person("bob"), x.person("carol")
	room := alice.creates("r")
	bob.joins(room)
	carol.joins(room)
	alice.does("DELETE", "/v1/rooms/"+room+"/members/"+string(bob.id), nil, 204)
	carol.invites(room, bob, 403)
	alice.invites(room, bob, 202)
	bob.leaves(room, 204)
	bob.does("POST", "/v1/rooms/"+room+"/members", object{}, 403)
	alice.invites(room, bob, 202)
	bob.joins(room)
	equal(t, "members", alice.members(room), "map[alice:owner bob:member carol:member]")
}

// Whom the invited has as a friend, shares a group with or has answered is no
// stranger; nobody can make themselves one of these.
func TestStrangers(t *testing.T) {
	x := setUp(t)
	alice, bob, carol := x.person("alice"), x.person("bob"), x.person("carol")
	room := func() string { return alice.creates("r") }
	alice.befriends(bob)
	alice.invites(room(), bob, 202) // one-way: not bob's friend
	direct := alice.does("POST", "/v1/direct", object{"user": bob.id}, 201)["id"].(string)
	alice.invites(room(), bob, 202) // opened by alice alone
	alice.posts(direct, "hello", chat.Now())
	alice.invites(room(), bob, 202)
	bob.posts(direct, "hello", chat.Now())
	alice.invites(room(), bob, 201) // bob has answered

	shared := room()
	alice.invites(shared, carol, 202)
	alice.invites(room(), carol, 202)
	carol.joins(shared)
	alice.invites(room(), carol, 201)
	carol.leaves(shared, 204)
	for _, r := range carol.does("GET", "/v1/rooms", nil, 200)["rooms"].([]any) {
		carol.leaves(r.(object)["id"].(string), 204)
	}
	alice.invites(room(), carol, 202)
	carol.befriends(alice)
	alice.invites(room(), carol, 201)
}

// One user cannot fill another one's rooms or list of invitations.
func TestFloodOfInvitations(t *testing.T) {
	x := setUp(t)
	victim, friend := x.person("victim"), x.person("friend")
	var attackers []*person
	for n := range maxWaiting / maxWaitingFrom {
		attacker := x.person(fmt.Sprint("attacker ", n))
		attackers = append(attackers, attacker)
		for range maxWaitingFrom {
			attacker.invites(attacker.creates("r"), victim, 202)
		}
		attacker.invites(attacker.creates("r"), victim, 429)
	}
	equal(t, "rooms", len(victim.rooms()), 0)
	equal(t, "waiting", len(victim.invitations()), maxWaiting)
	// Nor keep others from inviting the victim, and not by inviting again either.
	other := x.person("other")
	for range maxWaitingFrom - 1 {
		other.invites(other.creates("other's"), victim, 202)
	}
	other.invites(other.creates("r"), victim, 429) // would have as many as the attackers
	for _, attacker := range attackers {
		attacker.invites(attacker.creates("again"), victim, 429)
	}
	equal(t, "waiting", len(victim.invitations()), maxWaiting)
	equal(t, "of the other", strings.Count(fmt.Sprint(victim.invitations()), "other's by other"), maxWaitingFrom-1)
	victim.creates("mine")
	victim.befriends(friend)
	friend.invites(friend.creates("friend's"), victim, 201)
}

func TestRoomForInvitations(t *testing.T) {
	at := chat.Now()
	full := func(each ...int) (waiting []chat.Membership) { // so many of 0, of 1 and so on, oldest first
		for inviter, n := range each {
			for range n {
				waiting = append(waiting, chat.Membership{
					Room: chat.RoomID(fmt.Sprint("room-", len(waiting))), InvitedBy: chat.UserID(fmt.Sprint(inviter)),
					InvitedAt: at.Add(time.Duration(len(waiting)) * time.Second),
				})
			}
		}
		return waiting
	}
	ones := slices.Repeat([]int{1}, maxWaiting)
	for _, c := range []struct {
		name    string
		waiting []chat.Membership
		by      chat.UserID
		drops   string // the room; "" for nothing
		refused bool
	}{
		{name: "nothing waits", by: "a"},
		{name: "there is room", waiting: full(10, 10, 5), by: "2"},
		{name: "ten of one", waiting: full(10, 10, 5), by: "1", refused: true},
		{name: "full, none yet", waiting: full(9, 10, 10, 10, 10, 10, 10, 10, 10, 10, 1), by: "a", drops: "room-9"},
		{name: "full, one", waiting: full(9, 10, 10, 10, 10, 10, 10, 10, 10, 10, 1), by: "10", drops: "room-9"},
		{name: "full, nearly as many", waiting: full(9, 10, 10, 10, 10, 10, 10, 10, 10, 10, 1), by: "0", refused: true},
		{name: "one of each, one more", waiting: full(ones...), by: "3", refused: true},
		{name: "one of each, none yet", waiting: full(ones...), by: "a", drops: "room-0"},
	} {
		dropped, ok := makeRoom(c.waiting, c.by)
		got := ""
		for _, m := range dropped {
			got += string(m.Room)
		}
		if ok == c.refused || got != c.drops {
			t.Errorf("%s: %v, drops %q; want %q", c.name, ok, got, c.drops)
		}
	}
}

func TestRateOfInvitations(t *testing.T) {
	x := setUp(t)
	x.f.Limits = Limits{Invite: attempts.Rate{Count: 4, Window: 10_000 * time.Hour}, InviteOne: attempts.Rate{Count: 2, Window: 10_000 * time.Hour}}
	alice, bob, carol, dave := x.person("alice"), x.person("bob"), x.person("carol"), x.person("dave")
	bob.befriends(alice)
	first := alice.creates("r")
	alice.invites(first, bob, 201)
	alice.invites(first, bob, 200) // is in already
	alice.invites(alice.creates("r"), bob, 201)
	alice.invites(alice.creates("r"), bob, 429)
	alice.invites(first, carol, 202)
	alice.does("POST", "/v1/direct", object{"user": carol.id}, 201)
	alice.does("POST", "/v1/direct", object{"user": carol.id}, 200)
	alice.does("POST", "/v1/direct", object{"user": dave.id}, 429)
	alice.invites(first, dave, 429)
	dave.joins(first) // by the code, as ever
}

// What waits does not count towards the user's limit of rooms, which is looked at when
// the invitation is accepted.
func TestInvitedOverTheLimit(t *testing.T) {
	x := setUp(t)
	alice, bob := x.person("alice"), x.person("bob")
	var events []chat.Event
	for i := range maxRooms {
		e, err := memberEvent(bob.id, chat.MemberJoined, chat.RoomID(fmt.Sprint("room-", i)), bob.id, "bob", chat.Plain)
		if err != nil {
			t.Fatal(err)
		}
		e.Sequence = chat.Sequence(1 + i)
		events = append(events, e)
	}
	if err := x.store.Rooms().Apply(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	room := alice.creates("r")
	alice.invites(room, bob, 202)
	bob.does("POST", "/v1/rooms/"+room+"/members", object{}, 422)
	bob.leaves("room-0", 404) // its room is not known here
	equal(t, "still waits", bob.invitations(), []string{"r by alice"})
}
