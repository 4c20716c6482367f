package chat_test

import (
	"testing"

	"knatter.dev/chat"
)

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
