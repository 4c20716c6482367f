package history_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"knatter.dev/chat"
)

// checked asks whether an event of alice may be logged.
func (x *fixture) checked(e *chat.Event) int {
	x.Helper()
	r := httptest.NewRequest(http.MethodPost, "/internal/check", strings.NewReader(string(chat.AppendBatch(nil, []chat.Event{*e}))))
	r.Header.Set("Authorization", "Bearer "+x.token("alice"))
	r.Header.Set("Content-Type", "application/cloudevents-batch+json")
	w := httptest.NewRecorder()
	x.f.ServeHTTP(w, r)
	return w.Code
}

// A check goes by what is in the tail, of which it looks closer at what concerns it: an
// event that was sent again, as another one, changes nothing for it either.
func TestCheckGoesByTheTail(t *testing.T) {
	x := setUp(t)
	gone, kept := x.says("gone"), x.says("kept")
	remove := func(id string, m *chat.Event) {
		x.append(x.event(room, id, "alice", chat.MessageDeleted, chat.About{Message: m.Sequence}))
	}
	remove("recall", gone)
	remove("recall", kept) // counts as the first
	like := func(m *chat.Event) *chat.Event {
		return x.event(room, "like "+m.ID, "alice", chat.ReactionAdded, chat.Reaction{About: chat.About{Message: m.Sequence}, Emoji: "👍"})
	}
	reply := x.event(room, "reply", "alice", chat.MessagePosted, chat.Posted{Text: "yes", ReplyTo: gone.Sequence})
	for _, c := range []struct {
		name  string
		event *chat.Event
		want  int
	}{
		{"a recalled message", like(gone), http.StatusNotFound},
		{"a reply to it", reply, http.StatusNotFound},
		{"one that is there", like(kept), http.StatusOK},
		{"an id that was used", x.event(room, "recall", "alice", chat.ReactionAdded, chat.Reaction{About: chat.About{Message: kept.Sequence}, Emoji: "👍"}), http.StatusConflict},
		{"unknown", x.event(room, "x", "alice", chat.MessageDeleted, chat.About{Message: kept.Sequence + 100}), http.StatusNotFound},
	} {
		if got := x.checked(c.event); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
