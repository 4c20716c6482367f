package chat_test

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"knatter.dev/chat"
)

func TestEventUser(t *testing.T) {
	for source, want := range map[string]chat.UserID{
		chat.SourceOf("alice"): "alice", "/rooms/alice": "", "https://example.org/users/alice": "", "": "", "/users/": "",
	} {
		if got := (&chat.Event{Source: source}).User(); got != want {
			t.Errorf("%q is sent by %q, want %q", source, got, want)
		}
	}
}

func TestNewEvent(t *testing.T) {
	e, err := chat.NewEvent("1", "alice", chat.RoomCreated, "room", chat.RoomData{Name: "회의 & <plan>", Kind: chat.Group})
	if err != nil {
		t.Fatal(err)
	}
	if string(e.Data) != `{"name":"회의 & <plan>","kind":"group"}` {
		t.Errorf("data is %s", e.Data)
	}
	if e.User() != "alice" || e.Room != "room" || e.Stream != "room" || e.Sequence != 0 {
		t.Errorf("got %+v", e)
	}
	if e.Time.Location() != time.UTC || e.Time != e.Time.Truncate(time.Millisecond) || time.Since(e.Time) > time.Minute {
		t.Errorf("time is %v", e.Time)
	}
	if _, err := chat.NewEvent("1", "alice", chat.RoomCreated, "room", make(chan int)); err == nil {
		t.Error("data that is no JSON went through")
	}
}

func TestEventDecode(t *testing.T) {
	e := sent(chat.ReadAdvanced, `{"upTo":"0000000000000007"}`)
	var d chat.ReadData
	if err := e.Decode(&d); err != nil || d.UpTo != 7 {
		t.Errorf("got %v, %v", d, err)
	}
	for _, data := range []string{"", "{", `{"upTo":7}`, "[]"} {
		e.Data = json.RawMessage(data)
		if err := e.Decode(&d); chat.KindOf(err) != chat.Invalid {
			t.Errorf("%q: got %v, want Invalid", data, err)
		}
	}
}

// What Check lets through is read again as the same event, and what it does not
// is not, whichever way it takes.
func TestCheck(t *testing.T) {
	good := func() chat.Event {
		return chat.Event{ID: "1", Source: "/users/alice", Type: chat.MessagePosted, Room: "room", Stream: "room", Time: time.UnixMilli(1).UTC(), Sequence: 7, Data: []byte(`{"text":"안녕"}`)}
	}
	for name, change := range map[string]func(e *chat.Event){
		"usual":           func(*chat.Event) {},
		"other data":      func(e *chat.Event) { e.Data = []byte(`{"text":"a\nb","mentions":["bob"]}`) },
		"extensions":      func(e *chat.Event) { e.Extensions = map[string]string{"x": "y"} },
		"trace":           func(e *chat.Event) { e.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
		"id with a quote": func(e *chat.Event) { e.ID = `a"b` },
		"greatest":        func(e *chat.Event) { e.Sequence = 1<<53 - 1 },
		"no id":           func(e *chat.Event) { e.ID = "" },
		"NUL in the id":   func(e *chat.Event) { e.ID = "a\x00b" },
		"no type":         func(e *chat.Event) { e.Type = "" },
		"bad source":      func(e *chat.Event) { e.Source = ":%" },
		"too great":       func(e *chat.Event) { e.Sequence = 1 << 53 },
		"far future":      func(e *chat.Event) { e.Time = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"collision":       func(e *chat.Event) { e.Extensions = map[string]string{"source": "/users/bob"} },
		"not UTF-8":       func(e *chat.Event) { e.Extensions = map[string]string{"x": "\x9f"} },
		"not JSON":        func(e *chat.Event) { e.Data = []byte(`{"text":`) },
	} {
		t.Run(name, func(t *testing.T) {
			e := good()
			change(&e)
			again, err := chat.DecodeFrame(e.AppendFrame(nil))
			same := err == nil && again.ID == e.ID && again.Source == e.Source && again.Type == e.Type && again.Stream == e.Stream && again.Sequence == e.Sequence &&
				maps.Equal(again.Extensions, e.Extensions)
			if got := e.Check(); (got == nil) != same {
				t.Errorf("checked: %v; read again as %+v, %v", got, again, err)
			}
		})
	}
}
