package rooms

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/members"
	"knatter.dev/chat/internal/names"
	"knatter.dev/chat/internal/pebble/pebbletest"
)

// interrupted is a log in which something else is logged first, once.
type interrupted struct {
	chat.Log
	first func()
}

func (l *interrupted) Append(ctx context.Context, events ...*chat.Event) error {
	if f := l.first; f != nil {
		l.first = nil
		f()
	}
	return l.Log.Append(ctx, events...)
}

// first has f happen after the next request has been checked and before it is
// logged.
func (x *fixture) first(f func()) {
	x.f.log = &interrupted{Log: x.log, first: func() {
		x.f.log = x.log
		f()
	}}
}

// asks sends a request and returns the status.
func (p *person) asks(method, path, body string) int {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+p.token)
	w := httptest.NewRecorder()
	p.x.f.ServeHTTP(w, r)
	return w.Code
}

// ownedByTwo is a room with two owners and a plain member.
func (x *fixture) ownedByTwo() (alice, bob, carol *person, path string) {
	x.Helper()
	alice, bob, carol = x.person("alice"), x.person("bob"), x.person("carol")
	room := alice.creates("r")
	bob.joins(room)
	carol.joins(room)
	alice.does("PATCH", "/v1/rooms/"+room+"/members/"+string(bob.id), object{"role": "owner"}, 200)
	return alice, bob, carol, "/v1/rooms/" + room + "/members/"
}

// Of two owners who take away each other's role at the same moment the first in the
// log does, and so with all that would leave no owner.
func TestOwnersAtOnce(t *testing.T) {
	type act func(by, other *person, path string) int
	demote := func(by, other *person, path string) int {
		return by.asks("PATCH", path+string(other.id), `{"role":"member"}`)
	}
	remove := func(by, other *person, path string) int { return by.asks("DELETE", path+string(other.id), "") }
	resign := func(by, _ *person, path string) int {
		return by.asks("PATCH", path+string(by.id), `{"role":"member"}`)
	}
	leave := func(by, _ *person, path string) int { return by.asks("DELETE", path+string(by.id), "") }
	for name, c := range map[string]struct {
		first, second act
		status        int
		want          string
	}{
		"demote, demote": {demote, demote, 409, "map[alice:member bob:owner carol:member]"},
		"demote, remove": {demote, remove, 409, "map[alice:member bob:owner carol:member]"},
		"remove, demote": {remove, demote, 409, "map[bob:owner carol:member]"},
		"remove, remove": {remove, remove, 409, "map[bob:owner carol:member]"},
		"resign, resign": {resign, resign, 409, "map[alice:owner bob:member carol:member]"},
		"leave, resign":  {leave, resign, 409, "map[alice:owner carol:member]"},
		"leave, demote":  {leave, demote, 409, "map[alice:owner carol:member]"},
		"leave, leave":   {leave, leave, 204, "map[carol:owner]"},
		"resign, leave":  {resign, leave, 204, "map[bob:owner carol:member]"},
		"demote, leave":  {demote, leave, 204, "map[bob:owner carol:member]"},
		"remove, leave":  {remove, leave, 204, "map[bob:owner carol:member]"},
	} {
		t.Run(name, func(t *testing.T) {
			x := setUp(t)
			alice, bob, carol, path := x.ownedByTwo()
			x.first(func() {
				if status := c.first(bob, alice, path); status != 200 && status != 204 {
					t.Errorf("who comes first gets %d", status)
				}
			})
			if status := c.second(alice, bob, path); status != c.status {
				t.Errorf("who comes second gets %d, want %d", status, c.status)
			}
			room := strings.Split(path, "/")[3]
			equal(t, "members", carol.members(room), c.want)
			equal(t, "members by the log", x.replayed(room), c.want)
		})
	}
}

// replayed is who is in the room by the log alone: "nickname role".
func (x *fixture) replayed(room string) string {
	x.Helper()
	s := pebbletest.Memory(x)
	events, err := x.log.Tail(x.Context(), chat.StreamID(room))
	if err != nil {
		x.Fatal(err)
	}
	slices.Reverse(events)
	if err := s.Rooms().Apply(x.Context(), events); err != nil {
		x.Fatal(err)
	}
	all, err := s.Rooms().Members(x.Context(), chat.RoomID(room))
	if err != nil {
		x.Fatal(err)
	}
	roles := make(map[string]chat.Role)
	for _, m := range all {
		if m.Active {
			roles[m.Nickname] = m.Role
		}
	}
	return fmt.Sprint(roles)
}

// Whatever people do to each other at the same time, a room with members has an
// owner.
func TestManyAtOnce(t *testing.T) {
	for round := range uint64(10) {
		x := setUp(t)
		alice, bob, carol, path := x.ownedByTwo()
		dave := x.person("dave")
		room := strings.Split(path, "/")[3]
		dave.joins(room)
		all := []*person{alice, bob, carol, dave}
		var wg sync.WaitGroup
		for i, p := range all {
			rnd := rand.New(rand.NewPCG(round, uint64(i)))
			wg.Go(func() {
				for range 20 {
					whom := all[rnd.IntN(len(all))]
					status := 0
					switch rnd.IntN(4) {
					case 0:
						status = p.asks("DELETE", path+string(whom.id), "")
					case 1:
						status = p.asks("POST", strings.TrimSuffix(path, "/"), `{}`)
					default:
						role := []string{"owner", "moderator", "member"}[rnd.IntN(3)]
						status = p.asks("PATCH", path+string(whom.id), `{"role":"`+role+`"}`)
					}
					if status >= 500 {
						t.Errorf("status %d", status)
					}
				}
			})
		}
		wg.Wait()
		stored, err := x.store.Rooms().Members(t.Context(), chat.RoomID(room))
		if err != nil {
			t.Fatal(err)
		}
		in, owners := 0, 0
		for _, m := range stored {
			if m.Active {
				in++
				if m.Role == chat.Owner {
					owners++
				}
			}
		}
		if in > 0 && owners == 0 {
			t.Fatalf("round %d: no owner of %+v", round, stored)
		}
	}
}

// A room that was left without an owner, by a version that did so or by a crash, has
// one as soon as anybody looks.
func TestRoomWithoutOwner(t *testing.T) {
	for name, look := range map[string]func(successor *person, room string) any{
		"members": func(successor *person, room string) any { return successor.members(room) != "" },
		"room": func(successor *person, room string) any {
			return successor.does("GET", "/v1/rooms/"+room, nil, 200)["role"]
		},
		"list": func(successor *person, room string) any {
			return successor.does("GET", "/v1/rooms", nil, 200)["rooms"].([]any)[0].(object)["role"]
		},
		"rename": func(successor *person, room string) any {
			return successor.does("PATCH", "/v1/rooms/"+room, object{"name": "new"}, 200)["role"]
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := setUp(t)
			alice, bob, carol, path := x.ownedByTwo()
			dave, eve := x.person("dave"), x.person("eve")
			room := strings.Split(path, "/")[3]
			dave.joins(room)
			eve.joins(room)
			alice.does("PATCH", path+string(eve.id), object{"role": "moderator"}, 200)
			alice.does("PATCH", path+string(dave.id), object{"role": "moderator"}, 200)
			x.logs(room, chat.MemberLeft, alice, bob)
			equal(t, "nobody owns it", x.replayed(room), "map[carol:member dave:moderator eve:moderator]")
			look(dave, room)
			equal(t, "members: the moderator who is there for longest", carol.members(room), "map[carol:member dave:owner eve:moderator]")
			equal(t, "members by the log", x.replayed(room), "map[carol:member dave:owner eve:moderator]")
			dave.does("DELETE", path+string(eve.id), nil, 204)
		})
	}
}

// logs logs and stores an event about each of some members, as an earlier version
// may have.
func (x *fixture) logs(room string, typ chat.Type, about ...*person) {
	x.Helper()
	for _, p := range about {
		e, err := memberEvent(p.id, typ, chat.RoomID(room), p.id, p.name, chat.Owner)
		if err != nil {
			x.Fatal(err)
		}
		if err := members.Publish(x.Context(), x.log, x.store.Rooms(), e); err != nil {
			x.Fatal(err)
		}
	}
}

// Who was removed stays out, whatever else is logged about them, and also if the
// removal comes between the check of coming back and its event.
func TestRemovedStaysOut(t *testing.T) {
	x := setUp(t)
	alice, bob := x.person("alice"), x.person("bob")
	room := alice.creates("r")
	path := "/v1/rooms/" + room + "/members"
	bob.joins(room)
	alice.does("DELETE", path+"/"+string(bob.id), nil, 204)
	for _, e := range []chat.MemberData{
		{User: bob.id, Nickname: "rob", Role: chat.Plain, Changed: chat.ChangedNickname},
		{User: bob.id, Nickname: "bob", Role: chat.Plain}, // as earlier versions log it
	} {
		updated, err := newMemberEvent(bob.id, chat.MemberUpdated, chat.RoomID(room), e)
		if err != nil {
			t.Fatal(err)
		}
		if err := members.Publish(t.Context(), x.log, x.store.Rooms(), updated); err != nil {
			t.Fatal(err)
		}
		bob.does("POST", path, object{}, 403)
	}
	x.logs(room, chat.MemberLeft, bob)
	bob.does("POST", path, object{}, 403)
	bob.befriends(alice)

	alice.does("POST", path, object{"user": bob.id}, 201)
	bob.does("DELETE", path+"/"+string(bob.id), nil, 204)
	x.first(func() { x.logs(room, chat.MemberRemoved, bob) })
	bob.does("POST", path, object{}, 403)
	bob.does("GET", "/v1/rooms/"+room, nil, 403)
	bob.does("POST", path, object{}, 403)
	equal(t, "members", alice.members(room), "map[alice:owner]")
}

// What one did not read in the present stay is unread, and nothing else.
func TestUnread(t *testing.T) {
	x := setUp(t)
	alice, bob := x.person("alice"), x.person("bob")
	room := alice.creates("r")
	path := "/v1/rooms/" + room + "/members"
	unread := func() (n, read any) {
		t.Helper()
		r := bob.does("GET", "/v1/rooms/"+room, nil, 200)
		return r["unread"], r["read"]
	}
	check := func(what string, want int) {
		t.Helper()
		n, read := unread()
		if fmt.Sprint(n) != fmt.Sprint(want) {
			t.Errorf("%s: %v unread, want %d (read %v)", what, n, want, read)
		}
	}
	say := func(n int) (last chat.Sequence) {
		for range n {
			last = alice.posts(room, "hello", chat.Now())
		}
		return last
	}
	reads := func(upTo chat.Sequence) {
		t.Helper()
		e, err := chat.NewEvent(names.NewEvent(), bob.id, chat.ReadAdvanced, chat.RoomID(room), chat.ReadData{UpTo: upTo})
		if err != nil {
			t.Fatal(err)
		}
		if err := members.Publish(t.Context(), x.log, x.store.Rooms(), e); err != nil {
			t.Fatal(err)
		}
	}
	say(2)
	bob.joins(room)
	check("joined", 0)
	say(3)
	check("three messages", 3)
	x.renames(room, bob, "rob")
	check("after another nickname", 3)
	alice.does("PATCH", path+"/"+string(bob.id), object{"role": "moderator"}, 200)
	check("after another role", 3)
	bob.posts(room, "mine", chat.Now())
	check("after an own message", 3)
	reads(say(1))
	check("read", 0)
	bob.does("DELETE", path+"/"+string(bob.id), nil, 204)
	say(5)
	bob.joins(room)
	check("back", 0)
	if _, read := unread(); read != "0000000000000000" {
		t.Errorf("read %v in a new stay", read)
	}
	say(1)
	check("one message", 1)
	reads(1<<53 - 1)
	check("read too far", 0)
	say(2)
	check("two messages", 2)
	x.persist(room)
	check("replayed", 2)
	reads(1)
	check("read less", 2)
}

// renames changes a nickname in a room, as the accounts function does.
func (x *fixture) renames(room string, p *person, nickname string) {
	x.Helper()
	e, err := newMemberEvent(p.id, chat.MemberUpdated, chat.RoomID(room), chat.MemberData{User: p.id, Nickname: nickname, Role: chat.Plain, Changed: chat.ChangedNickname})
	if err != nil {
		x.Fatal(err)
	}
	if err := members.Publish(x.Context(), x.log, x.store.Rooms(), e); err != nil {
		x.Fatal(err)
	}
}

// The order in which one's role and nickname are changed at the same moment makes no
// difference.
func TestRoleAndNicknameAtOnce(t *testing.T) {
	x := setUp(t)
	alice, bob := x.person("alice"), x.person("bob")
	room := alice.creates("r")
	bob.joins(room)
	x.first(func() { x.renames(room, bob, "rob") })
	alice.does("PATCH", "/v1/rooms/"+room+"/members/"+string(bob.id), object{"role": "moderator"}, 200)
	equal(t, "members", alice.members(room), "map[alice:owner rob:moderator]")
	x.renames(room, bob, "robert") // with the role that it had before
	equal(t, "members", alice.members(room), "map[alice:owner robert:moderator]")
	var last chat.MemberData
	events, err := x.log.Tail(t.Context(), chat.StreamID(room))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(events[len(events)-1].Data, &last); err != nil || last.Changed != chat.ChangedNickname {
		t.Errorf("the last event: %+v, %v", last, err)
	}
}
