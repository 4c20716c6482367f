package chat_test

import (
	"testing"

	"knatter.dev/chat"
)

// Every type has one row, and data that its kind of event must have.
func TestEventTypes(t *testing.T) {
	seen := make(map[chat.Type]bool)
	for _, row := range chat.EventTypes {
		if seen[row.Type] || row.Type.Short() == string(row.Type) {
			t.Errorf("%q is not the name of one type", row.Type)
		}
		seen[row.Type] = true
		e := chat.Event{Type: row.Type, Stream: "room"}
		if want := !row.Hidden && !row.Signal; e.Kept() != want || row.Type.Hidden() != row.Hidden || row.Type.Signal() != row.Signal {
			t.Errorf("%s: kept %t, hidden %t", row.Type, e.Kept(), row.Type.Hidden())
		}
		if e.Stream = chat.StreamOf("alice"); e.Kept() {
			t.Errorf("%s on a user's stream is kept", row.Type)
		}
		if _, member := row.Data().(*chat.MemberData); row.Type.Member() != member {
			t.Errorf("%s: member %t", row.Type, row.Type.Member())
		}
		for _, data := range []string{"", "7", `"x"`, "[]"} {
			if row.Data() == nil {
				continue
			}
			e := sent(row.Type, data)
			if err := chat.CheckLogged(&e); chat.KindOf(err) != chat.Invalid || err == nil {
				t.Errorf("%s with the data %q may be logged: %v", row.Type, data, err)
			}
		}
		e = sent(row.Type, everyMember)
		if err := chat.CheckLogged(&e); err != nil {
			t.Errorf("%s may not be logged: %v", row.Type, err)
		}
		switch err := chat.CheckSent(&e); {
		case row.Sender != chat.ByClient && chat.KindOf(err) != chat.Forbidden:
			t.Errorf("%s is sent by a client: %v", row.Type, err)
		case row.Sender == chat.ByClient && (err != nil || row.Hidden):
			t.Errorf("%s cannot be sent by a client: %v", row.Type, err)
		}
	}
	unknown := chat.Event{Type: chat.Prefix + "of.tomorrow", Stream: "room"}
	if unknown.Type.Hidden() || unknown.Type.Member() || !unknown.Kept() {
		t.Error("an unknown type is taken for one of the system's own")
	}
}

// everyMember is data of every type at once.
const everyMember = `{"text":"hi","upTo":"0000000000000007","message":"0000000000000007","emoji":"👍","user":"bob","nickname":"bob","role":"owner","name":"room","connector":0,"session":"x"}`

func TestTypes(t *testing.T) {
	if got := chat.MessagePosted.Short(); got != "message.posted" {
		t.Errorf("got %s", got)
	}
	for typ, want := range map[chat.Type]struct{ hidden, member bool }{
		chat.MessagePosted: {}, chat.MemberJoined: {member: true}, chat.MemberUpdated: {member: true},
		chat.RouteOpened: {hidden: true}, chat.RouteClosed: {hidden: true}, chat.SessionRevoked: {hidden: true},
		chat.MemberInvited: {hidden: true, member: true}, chat.MemberDeclined: {hidden: true, member: true},
	} {
		if typ.Hidden() != want.hidden || typ.Member() != want.member {
			t.Errorf("%s: hidden %t, member %t", typ, typ.Hidden(), typ.Member())
		}
	}
}
