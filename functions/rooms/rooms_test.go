package rooms

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/auth/authtest"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/names"
	"knatter.dev/chat/internal/pebble"
	"knatter.dev/chat/internal/pebble/pebbletest"
)

type object = map[string]any

// fixture is the function over a real store and a real log.
type fixture struct {
	*testing.T
	f      *Function
	store  *pebble.Store
	config kafka.Config
	log    *kafka.Log
	signer *auth.Signer
}

func setUp(t *testing.T) *fixture {
	t.Helper()
	store := pebbletest.Memory(t)
	signer := authtest.Signer(t)
	_, config := kafkatest.Cluster(t)
	config.Partitions = 1
	if err := kafka.EnsureTopics(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	log := kafkatest.Log(t, config)
	f := New(function.Deps{Stores: store.Stores(), Log: log, Verifier: auth.NewVerifier(signer.Keys, nil), Config: function.DefaultConfig()})
	return &fixture{T: t, f: f, store: store, config: config, log: log, signer: signer}
}

// person is somebody who talks to the function.
type person struct {
	x     *fixture
	name  string
	id    chat.UserID
	token string
}

func (x *fixture) person(name string) *person {
	x.Helper()
	id := names.NewUser()
	if err := x.store.Accounts().Create(x.Context(), chat.Account{ID: id, Email: name + "@example.org", Nickname: name}); err != nil {
		x.Fatal(err)
	}
	token, err := x.signer.Sign(auth.Claims{User: id, Nickname: name, Session: "s", Expires: time.Now().Add(time.Minute)})
	if err != nil {
		x.Fatal(err)
	}
	return &person{x: x, name: name, id: id, token: token}
}

// does sends a request and returns the answer's JSON.
func (p *person) does(method, path string, body any, status int) object {
	p.x.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		p.x.Fatal(err)
	}
	r := httptest.NewRequest(method, path, bytes.NewReader(raw))
	r.Header.Set("Authorization", "Bearer "+p.token)
	w := httptest.NewRecorder()
	p.x.f.ServeHTTP(w, r)
	if w.Code != status {
		p.x.Fatalf("%s: %s %s %s: status %d, want %d: %s", p.name, method, path, raw, w.Code, status, w.Body)
	}
	var answer object
	if status != http.StatusNoContent {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			p.x.Fatal(err)
		}
	}
	if status >= 400 && (answer["status"] != float64(status) || answer["type"] == "") {
		p.x.Errorf("not a problem document: %v", answer)
	}
	return answer
}

func (p *person) creates(name string) string {
	p.x.Helper()
	return p.does("POST", "/v1/rooms", object{"name": name}, 201)["id"].(string)
}

func (p *person) joins(room string) {
	p.x.Helper()
	p.does("POST", "/v1/rooms/"+room+"/members", object{}, 201)
}

// sequence is the room's, as p sees it.
func (p *person) sequence(room string) string {
	p.x.Helper()
	return p.does("GET", "/v1/rooms/"+room, nil, 200)["sequence"].(string)
}

// members is who is in the room, as p sees it: "name role".
func (p *person) members(room string) string {
	p.x.Helper()
	roles := make(map[string]string)
	for _, m := range p.does("GET", "/v1/rooms/"+room+"/members", nil, 200)["members"].([]any) {
		m := m.(object)
		roles[m["nickname"].(string)] = m["role"].(string)
	}
	return fmt.Sprint(roles) // in the order of the names
}

// logged is the stream's events: "type user role".
func (x *fixture) logged(stream chat.StreamID) (list []string) {
	x.Helper()
	events, err := x.log.Tail(x.Context(), stream)
	if err != nil {
		x.Fatal(err)
	}
	for _, e := range events {
		var d struct {
			chat.MemberData
			Name    string `json:"name"`
			Changed any    `json:"changed"`
		}
		if err := e.Decode(&d); err != nil {
			x.Fatal(err)
		}
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s%s %s", e.Type.Short(), d.Name, d.Nickname, d.Role)))
	}
	return list
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func TestCreate(t *testing.T) {
	x := setUp(t)
	alice, bob := x.person("alice"), x.person("bob")
	got := alice.does("POST", "/v1/rooms", object{"name": " 독서 모임 "}, 201)
	room := got["id"].(string)
	delete(got, "id")
	equal(t, "answer", got, object{"name": "독서 모임", "kind": "group", "topic": "", "joining": "code", "posting": "everyone", "slowMode": 0, "role": "owner", "members": 1, "notify": "all", "favorite": false, "sequence": "0000000000000000", "read": "0000000000000000", "unread": 0, "mentions": 0})
	equal(t, "log", x.logged(chat.StreamID(room)), []string{"room.created 독서 모임", "member.joined alice owner"})
	equal(t, "alice's stream", x.logged(chat.StreamOf(alice.id)), []string{"member.joined alice owner"})
	equal(t, "the same from the store", alice.does("GET", "/v1/rooms/"+room, nil, 200)["name"], "독서 모임")
	bob.does("GET", "/v1/rooms/"+room, nil, 403)
	bob.does("GET", "/v1/rooms/"+room+"/members", nil, 403)
	bob.does("PATCH", "/v1/rooms/"+room, object{"name": "b"}, 403)
	for _, name := range []string{"", " ", strings.Repeat("가", 101), "a\nb", "\u3164", "\uffa0", "\u2800", "\u0301", "\ufe0f"} {
		alice.does("POST", "/v1/rooms", object{"name": name}, 422)
	}
	alice.does("POST", "/v1/rooms", []int{}, 400)
	(&person{x: x, token: "x"}).does("POST", "/v1/rooms", object{"name": "a"}, 401)
}

func TestRename(t *testing.T) {
	x := setUp(t)
	alice, bob := x.person("alice"), x.person("bob")
	room := alice.creates("one")
	bob.joins(room)
	bob.does("PATCH", "/v1/rooms/"+room, object{"name": "two"}, 403)
	for range 2 {
		equal(t, "name", alice.does("PATCH", "/v1/rooms/"+room, object{"name": "two"}, 200)["name"], "two")
	}
	alice.does("PATCH", "/v1/rooms/"+room, object{"name": ""}, 422)
	alice.does("PATCH", "/v1/rooms/"+room, object{"name": "\u3164\ufe0f"}, 422)
	equal(t, "log", x.logged(chat.StreamID(room)), []string{"room.created one", "member.joined alice owner", "member.joined bob member", "room.updated two"})
	equal(t, "bob's name of it", bob.does("GET", "/v1/rooms/"+room, nil, 200)["name"], "two")
}

func TestDirect(t *testing.T) {
	x := setUp(t)
	alice, bob, carol := x.person("alice"), x.person("bob"), x.person("carol")
	got := alice.does("POST", "/v1/direct", object{"user": bob.id}, 201)
	room := got["id"].(string)
	equal(t, "answer", []any{got["name"], got["kind"]}, []any{"bob", "direct"})
	equal(t, "bob's answer", bob.does("POST", "/v1/direct", object{"user": alice.id}, 200)["id"], room)
	equal(t, "bob's rooms", bob.rooms(), []string{"alice direct " + bob.sequence(room) + " 0 []"})
	equal(t, "log", x.logged(chat.StreamID(room)), []string{"room.created", "member.joined alice member", "member.joined bob member"})
	equal(t, "bob's stream", x.logged(chat.StreamOf(bob.id)), []string{"member.joined bob member"})

	// Its ID can be computed by others, to whom it doesn't exist.
	carol.does("GET", "/v1/rooms/"+room, nil, 404)
	carol.does("POST", "/v1/rooms/"+room+"/members", object{}, 404)
	carol.does("DELETE", "/v1/rooms/"+room+"/members/"+string(bob.id), nil, 404)
	alice.does("POST", "/v1/rooms/"+room+"/members", object{"user": carol.id}, 403)
	alice.does("PATCH", "/v1/rooms/"+room, object{"name": "a"}, 403)
	alice.does("DELETE", "/v1/rooms/"+room+"/members/"+string(bob.id), nil, 403)
	alice.does("POST", "/v1/direct", object{"user": alice.id}, 422)
	alice.does("POST", "/v1/direct", object{"user": "nobody"}, 404)
	alice.does("POST", "/v1/direct", object{}, 404)

	bob.does("DELETE", "/v1/rooms/"+room+"/members/"+string(bob.id), nil, 204)
	equal(t, "bob's rooms", len(bob.rooms()), 0)
	alice.does("POST", "/v1/direct", object{"user": bob.id}, 200)
	equal(t, "bob's rooms", bob.rooms(), []string{"alice direct " + bob.sequence(room) + " 0 []"})
}

func TestDirectByBothAtOnce(t *testing.T) {
	x := setUp(t)
	alice, bob := x.person("alice"), x.person("bob")
	var both sync.WaitGroup
	for range 4 {
		for _, p := range [][2]*person{{alice, bob}, {bob, alice}} {
			both.Go(func() {
				raw := strings.NewReader(`{"user":"` + string(p[1].id) + `"}`)
				r := httptest.NewRequest("POST", "/v1/direct", raw)
				r.Header.Set("Authorization", "Bearer "+p[0].token)
				w := httptest.NewRecorder()
				x.f.ServeHTTP(w, r)
				if w.Code != 200 && w.Code != 201 {
					t.Errorf("status %d: %s", w.Code, w.Body)
				}
			})
		}
	}
	both.Wait()
	room := string(names.Direct(alice.id, bob.id))
	equal(t, "alice's rooms", alice.rooms(), []string{"bob direct " + alice.sequence(room) + " 0 []"})
	equal(t, "bob's rooms", bob.rooms(), []string{"alice direct " + bob.sequence(room) + " 0 []"})
}

func TestWithoutTheLog(t *testing.T) {
	x := setUp(t)
	alice := x.person("alice")
	room := alice.creates("r")
	x.log.Close()
	alice.does("POST", "/v1/rooms", object{"name": "another"}, 503)
	alice.does("PATCH", "/v1/rooms/"+room, object{"name": "another"}, 503)
	equal(t, "alice's rooms", alice.rooms(), []string{"r group 0000000000000000 0 []"})
}

func TestLimits(t *testing.T) {
	x := setUp(t)
	alice, bob := x.person("alice"), x.person("bob")
	room := alice.creates("r")
	var events []chat.Event
	join := func(room chat.RoomID, user chat.UserID) {
		e, err := memberEvent(user, chat.MemberJoined, room, user, "n", chat.Plain)
		if err != nil {
			t.Fatal(err)
		}
		e.Sequence = chat.Sequence(1_000_000 + len(events))
		events = append(events, e)
	}
	for i := range maxMembers - 1 {
		join(chat.RoomID(room), chat.UserID(fmt.Sprintf("u%d", i)))
	}
	for i := range maxRooms - 1 {
		join(chat.RoomID(fmt.Sprintf("room-%d", i)), alice.id)
	}
	if err := x.store.Rooms().Apply(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	bob.does("POST", "/v1/rooms/"+room+"/members", object{}, 422)
	alice.does("POST", "/v1/rooms", object{"name": "one more"}, 422)
	alice.does("POST", "/v1/direct", object{"user": bob.id}, 422)
	alice.befriends(bob)
	other := bob.creates("b")
	bob.does("POST", "/v1/rooms/"+other+"/members", object{"user": alice.id}, 422)
	equal(t, "alice's rooms: those that exist", len(alice.rooms()), 1)
}

func TestOtherRequests(t *testing.T) {
	x := setUp(t)
	alice := x.person("alice")
	alice.does("GET", "/v1/rooms/a/b/c/d", nil, 404)
	alice.does("PUT", "/v1/rooms", nil, 405)
	alice.does("GET", "/v1/direct", nil, 405)
}
