package docs

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
	"knatter.dev/chat/internal/view"
)

// TestViewsAreAsDocumented holds what the functions show, and the Go client reads,
// against the document: the same members, required where they are always there, and
// of the same types.
func TestViewsAreAsDocumented(t *testing.T) {
	at := view.Time{Time: time.Date(2026, 11, 1, 2, 3, 4, 500_000_000, time.UTC)}
	message := client.Message{
		Sequence: 7, ID: "id", User: "alice", Nickname: "al", Text: "hi", Time: at, ReplyTo: 3,
		Mentions: []chat.UserID{"bob"}, Attachments: json.RawMessage(`[{"file":"f"}]`),
	}
	bare := client.Message{Sequence: 7, ID: "id", User: "alice", Nickname: "al", Text: "hi", Time: at}
	room := client.Room{ID: "room", Name: "회의", Kind: chat.Group, Joining: chat.JoinByCode, Posting: chat.PostModerators, SlowMode: 30, Role: chat.Owner, Sequence: 8, Read: 7, Unread: 1, LastMessage: &message, Members: 2, Notify: chat.NotifyAll, Peer: &view.User{ID: "bob", Nickname: "bo"}}
	empty := room
	empty.LastMessage, empty.Peer = nil, nil
	d := openAPI(t)
	for name, values := range map[string][]any{
		"Message":    {message, bare},
		"Room":       {room, empty},
		"Hit":        {client.Hit{Room: "room", Message: message, Highlights: [][2]int{{0, 2}}}, client.Hit{Room: "room", Message: bare, Highlights: [][2]int{}}},
		"Member":     {client.Member{User: "alice", Nickname: "al", Role: chat.Moderator, MutedUntil: &at}, client.Member{User: "alice", Nickname: "al", Role: chat.Plain}},
		"Receipts":   {view.ReceiptsOf(nil, -1), view.ReceiptsOf([]chat.Membership{{User: "alice", Active: true, Read: 7}}, 1)},
		"User":       {view.User{ID: "alice", Nickname: "al"}},
		"Invite":     {client.Invite{Code: "code", Expires: &at, Uses: 3, Used: 1, By: view.User{ID: "alice", Nickname: "al"}}, client.Invite{Code: "code", By: view.User{ID: "alice", Nickname: "al"}}},
		"Invitation": {client.Invitation{Room: "room", Name: "회의", By: view.User{ID: "alice", Nickname: "al"}, Time: at}},
	} {
		schema := d.at(t, "#/components/schemas/"+name).(map[string]any)
		documented := slices.Sorted(maps.Keys(schema["properties"].(map[string]any)))
		var required []string
		for _, member := range schema["required"].([]any) {
			required = append(required, member.(string))
		}
		slices.Sort(required)
		all, always := membersOf(reflect.TypeOf(values[0]))
		if !slices.Equal(all, documented) || !slices.Equal(always, required) {
			t.Errorf("%s has %v, always %v;\nthe document has %v, required %v", name, all, always, documented, required)
		}
		for _, v := range values {
			d.check(t, name, "/components/schemas/"+name, plain(t, v))
		}
	}
}

// membersOf are the members of a struct in JSON, and those that are always there.
func membersOf(of reflect.Type) (all, always []string) {
	for _, field := range reflect.VisibleFields(of) {
		name, options, tagged := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous || name == "" {
			continue
		}
		all = append(all, name)
		if !tagged || !strings.Contains(options, "omit") {
			always = append(always, name)
		}
	}
	slices.Sort(all)
	slices.Sort(always)
	return all, always
}
