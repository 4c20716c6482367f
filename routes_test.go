package chat_test

import (
	"slices"
	"strings"
	"testing"

	"knatter.dev/chat"
)

func TestFunctionFor(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/accounts": "accounts", "/v1/sessions": "accounts", "/v1/sessions/refresh": "accounts",
		"/v1/me": "accounts", "/v1/me/friends": "accounts", "/v1/me/friends/bob": "accounts", "/v1/me/invitations": "rooms", "/v1/me/invitations/x": "rooms", "/v1/me/": "accounts",
		"/v1/oauth/google/callback": "accounts", "/.well-known/jwks.json": "accounts",
		"/v1/rooms": "rooms", "/v1/rooms/r": "rooms", "/v1/rooms/r/members": "rooms", "/v1/rooms/r/members/bob": "rooms", "/v1/direct": "rooms",
		"/v1/rooms/r/messages": "history", "/v1/rooms/r/messages/1": "history", "/v1/rooms/r/events": "history",
		"/v1/rooms/messages": "rooms", "/v1/rooms/r/messagesx": "rooms", "/v1/rooms/r/members/messages": "rooms", "/v1/roomsx": "", "/v1/": "", "v1/rooms": "", "//v1/rooms": "",
		"/v1/search": "search",
		"/v1/socket": "", "/v1/events": "", "/": "", "": "", "/v1": "", "/v2/rooms": "", "/healthz": "", "/.well-known/jwks": "",
	} {
		got := chat.FunctionFor(path)
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
		if got != "" && !slices.Contains(chat.RequestFunctions, got) {
			t.Errorf("%s: %q is no request function", path, got)
		}
	}
}

func TestEventFunctions(t *testing.T) {
	groups := make(map[string]bool)
	for _, f := range chat.Followers {
		if groups[f.Group] || !strings.HasPrefix(f.Group, "knatter-") {
			t.Errorf("%s has the group %q", f.Name, f.Group)
		}
		groups[f.Group] = true
		for _, row := range chat.EventTypes {
			var want bool
			switch f.Group {
			case chat.Persist.Group:
				want = !row.Signal && (!row.Hidden || row.Type.Member())
			case chat.Index.Group:
				want = row.Type == chat.MessagePosted || row.Type == chat.MessageEdited || row.Type == chat.MessageDeleted
			case chat.Fanout.Group, chat.Signals.Group:
				want = true
			}
			if f.Handles(row.Type) != want {
				t.Errorf("%s handles %s: %t", f.Name, row.Type, f.Handles(row.Type))
			}
		}
		if got, want := f.Handles(chat.Prefix+"of.tomorrow"), f.Types == nil; got != want {
			t.Errorf("%s handles what nobody knows: %t", f.Name, got)
		}
	}
}
