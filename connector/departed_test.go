package connector_test

import (
	"net/http"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
)

// Who was removed is refused at once, although the store does not know it yet; and
// is a member again when a later event says so.
func TestRemovedBeforeTheStoreKnows(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice", "bob")
	bob := r.open("bob")
	bob.send(chat.RoomSubscribe, "", "s", subscribe("r", ""))
	bob.until(chat.RoomSubscribed)
	e, err := chat.NewEvent("removal", "alice", chat.MemberRemoved, "r", chat.MemberData{User: "bob", Nickname: "bob", Role: chat.Plain})
	if err != nil {
		t.Fatal(err)
	}
	r.append(&e) // and persist lags
	bob.until(chat.MemberRemoved)
	bob.send(chat.MessagePosted, "r", "one", `{"text":"still here?"}`)
	bob.refused(http.StatusForbidden)
	bob.send(chat.RoomSubscribe, "", "again", subscribe("r", everything))
	bob.refused(http.StatusForbidden)

	r.member(chat.MemberJoined, "r", "bob")
	bob.send(chat.MessagePosted, "r", "two", `{"text":"back"}`)
	bob.acked()
}
