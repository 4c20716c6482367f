package connector_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
)

// Signals reach the others of a room, and only those; nobody acknowledges them, they have
// no sequence, and what comes too often is dropped.
func TestSignals(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice", "bob")
	alice, again, bob := r.open("alice"), r.open("alice"), r.open("bob")
	for _, s := range []*socket{alice, again, bob} {
		s.send(chat.RoomSubscribe, "", "s", subscribe("r", ""))
		s.next(chat.RoomSubscribed)
	}
	r.routes("r", 1) // signals don't wait for it
	for _, id := range []string{"t1", "t2"} {
		alice.send(chat.TypingStarted, "r", id, `"data is of no use"`)
	}
	e := bob.next(chat.TypingStarted)
	if e.ID != "t1" || e.Source != chat.SourceOf("alice") || e.Room != "r" || e.Sequence != 0 || len(e.Data) != 0 || e.Time.IsZero() {
		t.Errorf("bob gets %+v", e)
	}
	alice.say("r", "what she typed")
	bob.next(chat.MessagePosted) // the second signal was one too many
	for _, s := range []*socket{alice, again} {
		for {
			e, err := s.read()
			if err != nil {
				t.Fatal(err)
			}
			if e.Type == chat.TypingStarted || e.Type == chat.Ack && !strings.Contains(string(e.Data), "what") {
				t.Errorf("alice gets %s %s", e.Type.Short(), e.Data)
			}
			if e.Type == chat.MessagePosted {
				break
			}
		}
	}
}

func TestSignalsThatAreRefused(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice")
	stranger := r.open("mallory")
	for _, c := range []struct {
		room   chat.RoomID
		typ    chat.Type
		status string
	}{
		{"r", chat.TypingStarted, `"status":403`},
		{"", chat.TypingStarted, `"status":422`},
		{"@alice", chat.TypingStarted, `"status":422`},
	} {
		stranger.send(c.typ, c.room, "t", "{}")
		if e := stranger.next(chat.Refused); !strings.Contains(string(e.Data), c.status) {
			t.Errorf("in %q: %s, want %s", c.room, e.Data, c.status)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.base+"/v1/events",
		strings.NewReader(`{"specversion":"1.0","id":"1","source":"x","type":"dev.knatter.typing.started","subject":"r"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token("alice", time.Hour))
	req.Header.Set("Content-Type", "application/cloudevents+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a signal over HTTP: %s", resp.Status)
	}
}
