package rooms

import (
	"fmt"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/members"
	"knatter.dev/chat/internal/names"
)

// rooms is the list, each as "name sequence/unread last text".
func (p *person) rooms() (list []string) {
	p.x.Helper()
	for _, r := range p.does("GET", "/v1/rooms", nil, 200)["rooms"].([]any) {
		r := r.(object)
		last := ""
		if m, ok := r["lastMessage"].(object); ok {
			last = fmt.Sprintf("%s: %s", m["nickname"], m["text"])
		}
		list = append(list, fmt.Sprintf("%s %s %v %v [%s]", r["name"], r["kind"], r["sequence"], r["unread"], last))
	}
	return list
}

// posts logs and stores a message, as the connector and the persist function do.
func (p *person) posts(room, text string, at time.Time) chat.Sequence {
	p.x.Helper()
	e, err := chat.NewEvent(names.NewEvent(), p.id, chat.MessagePosted, chat.RoomID(room), chat.Posted{Text: text})
	if err != nil {
		p.x.Fatal(err)
	}
	e.Time = at
	if err := p.x.log.Append(p.x.Context(), &e); err != nil {
		p.x.Fatal(err)
	}
	if err := p.x.store.Events().Put(p.x.Context(), []chat.Event{e}); err != nil {
		p.x.Fatal(err)
	}
	return e.Sequence
}

func TestList(t *testing.T) {
	x := setUp(t)
	alice, bob := x.person("alice"), x.person("bob")
	equal(t, "nothing", len(alice.rooms()), 0)
	first := alice.creates("first")
	second := alice.creates("second")
	bob.joins(first)
	now := chat.Now()
	read := bob.posts(first, "hello", now.Add(time.Minute))
	last := alice.posts(first, "안녕 <b>", now.Add(2*time.Minute))
	alice.posts(second, "later", now.Add(3*time.Minute))
	third := alice.creates("third")
	equal(t, "alice's rooms", alice.rooms(), []string{
		"second group " + alice.sequence(second) + " 0 [alice: later]",
		fmt.Sprintf("first group %s 1 [alice: 안녕 <b>]", last),
		"third group " + alice.sequence(third) + " 0 []",
	})
	alice.does("DELETE", "/v1/rooms/"+third+"/members/"+string(alice.id), nil, 204)
	equal(t, "bob's rooms", bob.rooms(), []string{fmt.Sprintf("first group %s 1 [alice: 안녕 <b>]", last)})

	e, err := chat.NewEvent("r", alice.id, chat.ReadAdvanced, chat.RoomID(first), chat.ReadData{UpTo: read})
	if err != nil {
		t.Fatal(err)
	}
	if err := members.Publish(t.Context(), x.log, x.store.Rooms(), e); err != nil {
		t.Fatal(err)
	}
	got := alice.does("GET", "/v1/rooms/"+first, nil, 200)
	equal(t, "read, unread", []any{got["read"], got["unread"]}, []any{read, 0})
	equal(t, "last message", got["lastMessage"], object{
		"sequence": last.String(), "id": got["lastMessage"].(object)["id"], "user": alice.id, "nickname": "alice",
		"text": "안녕 <b>", "time": now.Add(2 * time.Minute).Format("2006-01-02T15:04:05.000Z"),
	})
}
