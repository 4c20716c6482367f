package rooms

import (
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
)

// settingsOf are a room's settings as p sees them.
func (p *person) settingsOf(room string) object {
	p.x.Helper()
	got := p.does("GET", "/v1/rooms/"+room, nil, 200)
	return object{"name": got["name"], "topic": got["topic"], "joining": got["joining"], "posting": got["posting"], "slowMode": got["slowMode"]}
}

func TestSettings(t *testing.T) {
	x := setUp(t)
	alice, bob := x.person("alice"), x.person("bob")
	room := alice.creates("one")
	bob.joins(room)
	path := "/v1/rooms/" + room
	want := object{"name": "one", "topic": "", "joining": "code", "posting": "everyone", "slowMode": 0}
	equal(t, "defaults", bob.settingsOf(room), want)
	for _, change := range []object{
		{"topic": "  주제 "}, {"joining": "invitation"}, {"posting": "moderators"}, {"slowMode": 86400}, {"slowMode": 0}, {"slowMode": 3e1},
		{"topic": strings.Repeat("가", 1000), "name": "two"}, {"topic": " "}, {"joining": "code", "posting": "everyone", "slowMode": 0, "name": "one"},
	} {
		bob.does("PATCH", path, change, 403)
		for range 2 {
			got := alice.does("PATCH", path, change, 200)
			for what, value := range change {
				if text, ok := value.(string); ok {
					value = strings.TrimSpace(text)
				}
				equal(t, what, got[what], value)
				want[what] = value
			}
			equal(t, "settings", bob.settingsOf(room), want)
		}
	}
	before := len(x.logged(chat.StreamID(room)))
	for _, change := range []object{
		{}, {"unknown": 1}, {"Topic": "a"}, {"topic": strings.Repeat("a", 1001)}, {"topic": "a\nb"}, {"topic": "\u3164"},
		{"joining": ""}, {"joining": "Code"}, {"posting": "nobody"}, {"posting": ""}, {"slowMode": -1}, {"slowMode": 86401}, {"slowMode": 1.5}, {"slowMode": 1e300},
		{"topic": "fine", "slowMode": -1},
	} {
		alice.does("PATCH", path, change, 422)
	}
	for _, change := range []object{{"topic": 1}, {"slowMode": "1"}, {"joining": true}} {
		alice.does("PATCH", path, change, 400)
	}
	equal(t, "events", len(x.logged(chat.StreamID(room))), before)
	equal(t, "settings", bob.settingsOf(room), want)
}

// Of settings that are changed at the same moment each counts, and of one the later in
// the log.
func TestSettingsAtOnce(t *testing.T) {
	x := setUp(t)
	alice, bob, _, path := x.ownedByTwo()
	room := strings.Split(path, "/")[3]
	x.first(func() {
		bob.does("PATCH", "/v1/rooms/"+room, object{"topic": "bob's", "name": "bob's", "slowMode": 5}, 200)
	})
	got := alice.does("PATCH", "/v1/rooms/"+room, object{"topic": "alice's", "posting": "moderators"}, 200)
	want := object{"name": "bob's", "topic": "alice's", "joining": "code", "posting": "moderators", "slowMode": 5}
	equal(t, "name", got["name"], want["name"])
	equal(t, "settings", bob.settingsOf(room), want)
}

func TestMute(t *testing.T) {
	x := setUp(t)
	alice, bob, mod, eve := x.person("alice"), x.person("bob"), x.person("mod"), x.person("eve")
	room := alice.creates("r")
	path := "/v1/rooms/" + room + "/members/"
	bob.joins(room)
	mod.joins(room)
	alice.does("PATCH", path+string(mod.id), object{"role": "moderator"}, 200)
	muted := func() any {
		t.Helper()
		for _, m := range bob.does("GET", "/v1/rooms/"+room+"/members", nil, 200)["members"].([]any) {
			if m := m.(object); m["user"] == string(bob.id) {
				return m["mutedUntil"]
			}
		}
		t.Fatal("bob is not there")
		return nil
	}
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	shown := until.Format("2006-01-02T15:04:05.000Z")
	for _, p := range []*person{alice, mod} {
		got := p.does("PATCH", path+string(bob.id), object{"mutedUntil": until.In(time.FixedZone("KST", 9*60*60)).Format(time.RFC3339)}, 200)
		equal(t, "answer", got, object{"user": bob.id, "nickname": "bob", "role": "member", "mutedUntil": shown})
		equal(t, "muted", muted(), shown)
		p.does("PATCH", path+string(bob.id), object{"mutedUntil": nil}, 200)
		equal(t, "not muted", muted(), nil)
	}
	mod.does("PATCH", path+string(bob.id), object{"mutedUntil": until}, 200)
	bob.leaves(room, 204)
	alice.does("PATCH", path+string(bob.id), object{"mutedUntil": nil}, 404)
	bob.joins(room)
	equal(t, "still muted", muted(), shown)
	alice.does("PATCH", path+string(bob.id), object{"mutedUntil": "2020-01-01T00:00:00Z"}, 200)
	equal(t, "muted until a time that is past", muted(), nil)

	bob.does("PATCH", path+string(bob.id), object{"mutedUntil": nil}, 403)
	bob.does("PATCH", path+string(mod.id), object{"mutedUntil": until}, 403)
	mod.does("PATCH", path+string(mod.id), object{"mutedUntil": until}, 403)
	mod.does("PATCH", path+string(alice.id), object{"mutedUntil": until}, 403)
	alice.does("PATCH", path+string(mod.id), object{"mutedUntil": until}, 403)
	alice.does("PATCH", path+string(bob.id), object{"mutedUntil": until, "role": "moderator"}, 403)
	mod.does("PATCH", path+string(bob.id), object{"mutedUntil": until, "role": "member"}, 403)
	eve.does("PATCH", path+string(bob.id), object{"mutedUntil": until}, 403)
	alice.does("PATCH", path+string(eve.id), object{"mutedUntil": until}, 404)
	alice.does("PATCH", path+string(bob.id), object{}, 422)
	for _, bad := range []string{"", "soon", "2026-11-01", "2026-11-01T00:00:00", "9999-12-31T23:59:59-01:00"} {
		alice.does("PATCH", path+string(bob.id), object{"mutedUntil": bad}, 422)
	}
	alice.does("PATCH", path+string(bob.id), object{"mutedUntil": 5}, 400)
	alice.does("PATCH", path+string(mod.id), object{"mutedUntil": until, "role": "member"}, 200)
	bob.does("GET", "/v1/rooms/"+room+"/members", nil, 200)
}
