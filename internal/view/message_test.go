package view_test

import (
	"encoding/json"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/view"
)

func TestMessageOf(t *testing.T) {
	e, err := chat.NewEvent("id", "alice", chat.MessagePosted, "room", chat.Posted{Text: "hi", ReplyTo: 3, Mentions: []chat.UserID{"bob"}})
	if err != nil {
		t.Fatal(err)
	}
	e.Sequence, e.Time = 7, time.Date(2026, 11, 1, 2, 3, 4, 0, time.UTC)
	m, ok := view.MessageOf(&e, nil, "al")
	b, err := json.Marshal(m)
	if want := `{"sequence":"0000000000000007","id":"id","user":"alice","nickname":"","text":"hi","time":"2026-11-01T02:03:04.000Z","replyTo":"0000000000000003","mentions":["bob"]}`; !ok || err != nil || string(b) != want {
		t.Errorf("%s, %t, %v; want %s", b, ok, err, want)
	}
	for _, data := range []string{``, `null`, `{}`, `[]`, `{"text":7}`, `{"Text":"hi"}`, `{"text":""}`} {
		e.Data = json.RawMessage(data)
		if m, ok := view.MessageOf(&e, nil, "al"); ok {
			t.Errorf("%q is shown as %+v", data, m)
		}
	}
}
