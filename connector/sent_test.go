package connector_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
)

type ackOf struct {
	Event    string        `json:"event"`
	Sequence chat.Sequence `json:"sequence"`
}

func (s *socket) acked() ackOf {
	s.t.Helper()
	e := s.until(chat.Ack)
	var a ackOf
	if err := e.Decode(&a); err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *socket) refused(want int) {
	s.t.Helper()
	e := s.until(chat.Refused)
	var p struct {
		Status int `json:"status"`
	}
	if err := json.Unmarshal(e.Data, &p); err != nil || p.Status != want {
		s.t.Fatalf("refused by %s, want %d", e.Data, want)
	}
}

// An event that is sent again is acknowledged under its first sequence, and nobody
// sees it twice; its id cannot be used for anything else.
func TestSentAgain(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice", "bob")
	alice := r.open("alice")
	alice.send(chat.MessagePosted, "r", "id", `{"text":"first"}`)
	first := alice.acked()

	bob := r.open("bob")
	bob.send(chat.RoomSubscribe, "", "s", subscribe("r", ""))
	bob.until(chat.RoomSubscribed)
	for _, again := range []string{`{"text":"first"}`, `{ "text": "fir\u0073t" }`, `{"text":"first","unknown":1}`} {
		alice.send(chat.MessagePosted, "r", "id", again)
		if got := alice.acked(); got != first {
			t.Errorf("%s is acked as %v, was %v", again, got, first)
		}
	}
	for _, other := range []string{`{"text":"second"}`, `{"text":"first","mentions":["bob"]}`} {
		alice.send(chat.MessagePosted, "r", "id", other)
		alice.refused(http.StatusConflict)
	}
	alice.send(chat.ReadAdvanced, "r", "id", fmt.Sprintf(`{"upTo":%q}`, first.Sequence))
	alice.refused(http.StatusConflict)

	alice.say("r", "next")
	bob.hears("next") // and nothing before it
}

// Over HTTP it is the same, with sockets and among themselves; a batch with a used
// id is refused as a whole, and leaves its other ids free.
func TestSentAgainOverHTTP(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice")
	token := r.token("alice", time.Hour)
	post := func(want int, events ...string) []ackOf {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.base+"/v1/events", strings.NewReader("["+strings.Join(events, ",")+"]"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/cloudevents-batch+json")
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != want {
			t.Fatalf("status %d, want %d", resp.StatusCode, want)
		}
		var body struct {
			Acks []ackOf `json:"acks"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		return body.Acks
	}
	event := func(id, text string) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"me","type":"dev.knatter.message.posted","subject":"r","data":{"text":%q}}`, id, text)
	}
	alice := r.open("alice")
	alice.send(chat.MessagePosted, "r", "a", `{"text":"a"}`)
	a := alice.acked()
	if got := post(http.StatusAccepted, event("a", "a"), event("b", "b")); len(got) != 2 || got[0] != a || got[1].Sequence <= a.Sequence {
		t.Errorf("acks %v, the first was %v", got, a)
	}
	post(http.StatusConflict, event("c", "c"), event("b", "not b"))
	post(http.StatusConflict, event("c", "c"), event("c", "not c"))
	if got := post(http.StatusAccepted, event("c", "other")); len(got) != 1 {
		t.Errorf("acks %v", got)
	}
}

// A refused event takes no note of its id.
func TestRefusedIsNotSent(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice")
	bob := r.open("bob")
	bob.send(chat.MessagePosted, "r", "id", `{"text":"before"}`)
	bob.refused(http.StatusForbidden)
	r.member(chat.MemberJoined, "r", "bob")
	bob.send(chat.MessagePosted, "r", "id", `{"text":"after"}`)
	bob.acked()
}

// Whoever was removed since gets the same answer again for what they sent before.
func TestSentAgainAfterRemoval(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice", "bob")
	bob := r.open("bob")
	bob.send(chat.MessagePosted, "r", "id", `{"text":"hi"}`)
	first := bob.acked()
	r.member(chat.MemberRemoved, "r", "bob")
	bob.send(chat.MessagePosted, "r", "id", `{"text":"hi"}`)
	if got := bob.acked(); got != first {
		t.Errorf("acked as %v, was %v", got, first)
	}
	bob.send(chat.MessagePosted, "r", "other", `{"text":"hi"}`)
	bob.refused(http.StatusForbidden)
}

// Everybody sees a read mark that is beyond the room as the room's end.
func TestReadMarkBeyondTheRoom(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice", "bob")
	alice, bob := r.open("alice"), r.open("bob")
	bob.send(chat.RoomSubscribe, "", "s", subscribe("r", ""))
	bob.until(chat.RoomSubscribed)
	alice.send(chat.ReadAdvanced, "r", "id", `{"upTo":"9007199254740991"}`)
	alice.acked()
	e := bob.until(chat.ReadAdvanced)
	var d chat.ReadData
	if err := e.Decode(&d); err != nil || d.UpTo != e.Sequence {
		t.Errorf("read up to %v at %v, %v", d.UpTo, e.Sequence, err)
	}
}
