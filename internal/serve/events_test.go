package serve_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
)

// recorder keeps what it is given and fails as fail says.
type recorder struct {
	mu    sync.Mutex
	calls [][]chat.Event
	fail  func(events []chat.Event) error
}

func (h *recorder) HandleEvents(_ context.Context, events []chat.Event) error {
	h.mu.Lock()
	h.calls = append(h.calls, events)
	h.mu.Unlock()
	if h.fail == nil {
		return nil
	}
	return h.fail(events)
}

func event(id string) chat.Event {
	return chat.Event{
		ID: id, Source: "/users/alice", Type: chat.MessagePosted, Room: "room", Stream: "room", Sequence: chat.SequenceAt(0, 7),
		Data: []byte(`{"text":"hi"}`),
	}
}

func post(h http.Handler, body string, headers map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	for name, value := range headers {
		r.Header[name] = []string{value}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func binary(more map[string]string) map[string]string {
	h := map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/users/alice",
		"Ce-Type": string(chat.MessagePosted), "Ce-Subject": "room",
	}
	for name, value := range more {
		h[name] = value
	}
	return h
}

const text = `{"text":"hi"}`

func TestEvents(t *testing.T) {
	one, two := event("1"), event("2")
	structured := map[string]string{"Content-Type": "application/cloudevents+json; charset=utf-8"}
	for name, c := range map[string]struct {
		body    string
		headers map[string]string
		want    []chat.Sequence
	}{
		"binary":     {text, binary(map[string]string{"Ce-Sequence": "0000000000000007", "Ce-Partitionkey": "room"}), []chat.Sequence{7}},
		"structured": {string(one.AppendFrame(nil)), structured, []chat.Sequence{7}},
		"batched":    {string(chat.AppendBatch(nil, []chat.Event{one, two})), map[string]string{"Content-Type": "application/cloudevents-batch+json"}, []chat.Sequence{7, 7}},
		"of KafkaSource": {text, binary(map[string]string{"Ce-Knativekafkaoffset": "7", "Ce-Knativekafkapartition": "3"}),
			[]chat.Sequence{chat.SequenceAt(2, 7)}},
		"of KafkaSource, before the generation": {text, binary(map[string]string{"Ce-Knativekafkaoffset": "7", "Ce-Knativekafkapartition": "0"}),
			[]chat.Sequence{chat.SequenceAt(1, 7)}},
		"both: the record's place counts": {text, binary(map[string]string{"Ce-Sequence": "0000000000000008", "Ce-Knativekafkaoffset": "7", "Ce-Knativekafkapartition": "3"}), []chat.Sequence{chat.SequenceAt(2, 7)}},
	} {
		t.Run(name, func(t *testing.T) {
			h := new(recorder)
			w := post(serve.Events(h, func(context.Context) (chat.Lineage, error) {
				return chat.Lineage{Log: "log", Generations: []chat.Generation{{Number: 1}, {Number: 2, From: []int64{9, 9, 9, 7}}}}, nil
			}), c.body, c.headers)
			if w.Code != http.StatusNoContent || w.Body.Len() > 0 {
				t.Fatalf("got %d, %s", w.Code, w.Body)
			}
			if len(h.calls) != 1 || len(h.calls[0]) != len(c.want) {
				t.Fatalf("handled %v", h.calls)
			}
			for i, e := range h.calls[0] {
				if e.Sequence != c.want[i] || e.Stream != "room" || e.Room != "room" || e.User() != "alice" || string(e.Data) != text {
					t.Errorf("handled %+v", e)
				}
				if len(e.Extensions) > 0 {
					t.Errorf("the position stayed with the extensions: %v", e.Extensions)
				}
			}
		})
	}
}

// The log's very first record has sequence 0, and is a record nevertheless.
func TestFirstRecordOfKafkaSource(t *testing.T) {
	h := new(recorder)
	w := post(serve.Events(h, nil), text, binary(map[string]string{"Ce-Knativekafkaoffset": "0"}))
	if w.Code != http.StatusNoContent || len(h.calls) != 1 || h.calls[0][0].Sequence != 0 {
		t.Errorf("got %d, %s, handled %v", w.Code, w.Body, h.calls)
	}
}

func TestEventsOfAUsersStream(t *testing.T) {
	h := new(recorder)
	w := post(serve.Events(h, nil), text, binary(map[string]string{"Ce-Partitionkey": "@bob", "Ce-Knativekafkaoffset": "1"}))
	if w.Code != http.StatusNoContent || h.calls[0][0].Stream != "@bob" || h.calls[0][0].Room != "room" {
		t.Errorf("got %d, handled %+v", w.Code, h.calls)
	}
}

func TestEventsRefuses(t *testing.T) {
	at := map[string]string{"Ce-Knativekafkaoffset": "7"}
	structured := map[string]string{"Content-Type": "application/cloudevents+json"}
	batched := map[string]string{"Content-Type": "application/cloudevents-batch+json"}
	good := event("1")
	frame := string(good.AppendFrame(nil))
	for name, c := range map[string]struct {
		body    string
		headers map[string]string
		want    int
	}{
		"nothing":               {"", nil, 400},
		"no event":              {text, map[string]string{"Content-Type": "application/json"}, 400},
		"no JSON":               {"{", binary(at), 400},
		"JSON not UTF-8":        {"\"\xff\"", binary(at), 400},
		"another content type":  {text, binary(map[string]string{"Content-Type": "text/plain", "Ce-Knativekafkaoffset": "7"}), 400},
		"old specversion":       {text, binary(map[string]string{"Ce-Specversion": "0.3"}), 400},
		"an empty header name":  {text, binary(map[string]string{"Ce-": "x", "Ce-Knativekafkaoffset": "7"}), 400},
		"structured, cut off":   {frame[:len(frame)-1], structured, 400},
		"structured, and more":  {frame + "x", structured, 400},
		"a number as base64":    {`{"specversion":"1.0","id":"1","source":"/","type":"t","data_base64":5}`, structured, 400},
		"batch of one object":   {frame, batched, 400},
		"batch with a bad one":  {"[" + frame + ",{}]", batched, 400},
		"no position":           {text, binary(nil), 422},
		"a position below 0":    {text, binary(map[string]string{"Ce-Knativekafkaoffset": "-1"}), 422},
		"a position too far":    {text, binary(map[string]string{"Ce-Knativekafkaoffset": "999999999999999999"}), 422},
		"no room":               {text, binary(map[string]string{"Ce-Subject": "", "Ce-Knativekafkaoffset": "7"}), 422},
		"a stream with a slash": {text, binary(map[string]string{"Ce-Partitionkey": "a/b", "Ce-Knativekafkaoffset": "7"}), 422},
		"large":                 {`"` + strings.Repeat("x", serve.MaxBody) + `"`, binary(at), 413},
		"large and structured":  {`"` + strings.Repeat("x", serve.MaxBody) + `"`, structured, 413},
		"a large batch":         {`"` + strings.Repeat("x", serve.MaxBody) + `"`, batched, 413},
	} {
		t.Run(name, func(t *testing.T) {
			h := new(recorder)
			w := post(serve.Events(h, nil), c.body, c.headers)
			if w.Code != c.want || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d, %s, want %d", w.Code, w.Body, c.want)
			}
			if len(h.calls) > 0 {
				t.Errorf("handled %v", h.calls)
			}
		})
	}
}

func TestEventsMethod(t *testing.T) {
	w := httptest.NewRecorder()
	serve.Events(new(recorder), nil).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
		t.Errorf("got %d, %v", w.Code, w.Header())
	}
}

// The status tells the source whether to come again.
func TestEventsTellsNeverFromLater(t *testing.T) {
	for kind, want := range map[chat.Kind]int{chat.Invalid: 422, chat.Unavailable: 503, chat.Internal: 500, chat.TooMany: 429} {
		h := &recorder{fail: func([]chat.Event) error { return chat.Errorf(kind, "no") }}
		w := post(serve.Events(h, nil), text, binary(map[string]string{"Ce-Knativekafkaoffset": "7"}))
		if w.Code != want {
			t.Errorf("kind %d: got %d, want %d", kind, w.Code, want)
		}
	}
}

// Until somebody has looked at the log nobody knows where a record is.
func TestUnknownLineage(t *testing.T) {
	h := new(recorder)
	w := post(serve.Events(h, func(context.Context) (chat.Lineage, error) { return chat.Lineage{}, nil }), text,
		binary(map[string]string{"Ce-Knativekafkaoffset": "7", "Ce-Knativekafkapartition": "3"}))
	if w.Code != http.StatusServiceUnavailable || len(h.calls) > 0 {
		t.Errorf("got %d, %s, handled %v", w.Code, w.Body, h.calls)
	}
}

// A store notes how far it is by where events were, as callers tell it.
func TestOrigin(t *testing.T) {
	sequence := map[string]string{"Ce-Sequence": "0000000000000007", "Ce-Partitionkey": "room"}
	for name, c := range map[string]struct {
		headers map[string]string
		origin  string
		want    *chat.Origin
	}{
		"none":          {sequence, "", nil},
		"dispatcher's":  {sequence, "3 4 5 9", &chat.Origin{Partition: 3, Done: 4, From: 5, To: 9}},
		"KafkaSource's": {map[string]string{"Ce-Knativekafkaoffset": "7", "Ce-Knativekafkapartition": "3"}, "", &chat.Origin{Partition: 3, From: 7, To: 8}},
		"no partition":  {map[string]string{"Ce-Knativekafkaoffset": "7"}, "", nil},
	} {
		h := new(recorder)
		headers := binary(c.headers)
		if c.origin != "" {
			headers[serve.OriginHeader] = c.origin
		}
		if w := post(serve.Events(h, nil), text, headers); w.Code != http.StatusNoContent {
			t.Fatalf("%s: %d, %s", name, w.Code, w.Body)
		}
		if got := h.calls[0][0].Origin; (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	for _, origin := range []string{"3", "3 4 5", "-1 4 5 9", "3 4 9 5", "3 4 5 9 1", "3 -4 5 9", "x 4 5 9", "99999999999 4 5 9"} {
		headers := binary(sequence)
		headers[serve.OriginHeader] = origin
		if w := post(serve.Events(new(recorder), nil), text, headers); w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d, %s", origin, w.Code, w.Body)
		}
	}
	if w := post(serve.Events(new(recorder), nil), text, binary(map[string]string{"Ce-Knativekafkaoffset": "7", "Ce-Knativekafkapartition": "-3"})); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("a partition below 0: %d", w.Code)
	}
}
