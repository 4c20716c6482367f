package serve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

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

func TestGroupSharesCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &recorder{fail: func([]chat.Event) error { <-release; return nil }}
		g := serve.NewGroup(h)
		var wg sync.WaitGroup
		call := func(i int) {
			wg.Go(func() {
				if err := g.HandleEvents(t.Context(), []chat.Event{event(fmt.Sprint(i))}); err != nil {
					t.Error(err)
				}
			})
		}
		call(0)
		synctest.Wait() // the first is being handled; the others gather meanwhile
		for i := range 100 {
			call(i + 1)
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if len(h.calls) != 2 || len(h.calls[0]) != 1 || len(h.calls[1]) != 100 {
			t.Errorf("%d calls, want one with 1 event and one with 100", len(h.calls))
		}
	})
}

// A backlog is handled in pieces, each of whole calls.
func TestGroupBoundsBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &recorder{fail: func([]chat.Event) error { <-release; return nil }}
		g := serve.NewGroup(h)
		var wg sync.WaitGroup
		const calls, each = 40, 300
		for range calls {
			wg.Go(func() {
				if err := g.HandleEvents(t.Context(), slices.Repeat([]chat.Event{event("1")}, each)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		close(release)
		wg.Wait()
		handled := 0
		for _, events := range h.calls {
			if len(events) > 1000+each {
				t.Errorf("a batch of %d events", len(events))
			}
			handled += len(events)
		}
		if handled != calls*each || len(h.calls) > 15 {
			t.Errorf("%d events in %d batches, want %d in about 10", handled, len(h.calls), calls*each)
		}
	})
}

func TestGroupOneBadEvent(t *testing.T) {
	for name, fail := range map[string]func() error{
		"never":      func() error { return chat.Errorf(chat.Invalid, "bad") },
		"internal":   func() error { return errors.New("bad") },
		"by a panic": func() error { panic("bad") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				h := &recorder{fail: func(events []chat.Event) error {
					<-release
					for _, e := range events {
						if strings.HasPrefix(e.ID, "bad") {
							return fail()
						}
					}
					return nil
				}}
				g := serve.NewGroup(h)
				var wg sync.WaitGroup
				errs := make(map[string]error)
				var mu sync.Mutex
				for _, id := range []string{"1", "2", "bad", "3", "bad as well", "4"} {
					wg.Go(func() {
						err := g.HandleEvents(t.Context(), []chat.Event{event(id)})
						mu.Lock()
						errs[id] = err
						mu.Unlock()
					})
				}
				synctest.Wait()
				close(release)
				wg.Wait()
				for id, err := range errs {
					if bad := strings.HasPrefix(id, "bad"); bad != (err != nil) {
						t.Errorf("%s: %v", id, err)
					}
				}
				// The group goes on.
				if err := g.HandleEvents(t.Context(), []chat.Event{event("5")}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A store that is away is not asked again for each of the waiting calls.
func TestGroupUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &recorder{fail: func([]chat.Event) error {
			<-release
			return chat.Errorf(chat.Unavailable, "away")
		}}
		g := serve.NewGroup(h)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				err := g.HandleEvents(t.Context(), []chat.Event{event("1")})
				if chat.KindOf(err) != chat.Unavailable {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if len(h.calls) > 2 {
			t.Errorf("%d calls for 50 events", len(h.calls))
		}
	})
}

func TestGroupCancelledCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &blocking{release: release}
		g := serve.NewGroup(h)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, c := range []context.Context{ctx, t.Context(), t.Context()} {
			wg.Go(func() {
				if err := g.HandleEvents(c, []chat.Event{event("1")}); err != nil {
					t.Errorf("a caller failed: %v", err)
				}
			})
			synctest.Wait()
		}
		cancel() // the first caller handles the batch: giving up must not fail anybody
		synctest.Wait()
		close(release)
		wg.Wait()
	})
}

type blocking struct{ release chan struct{} }

func (h *blocking) HandleEvents(ctx context.Context, _ []chat.Event) error {
	select {
	case <-h.release:
		return nil
	case <-ctx.Done():
		return chat.Errorf(chat.Unavailable, "cancelled: %w", ctx.Err())
	}
}

// With the queue full a caller waits no longer than its context lasts.
func TestGroupOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := serve.NewGroup(&blocking{release: release})
		var wg sync.WaitGroup
		for range 513 { // one is being handled, 512 wait
			wg.Go(func() {
				if err := g.HandleEvents(t.Context(), []chat.Event{event("1")}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.HandleEvents(ctx, []chat.Event{event("1")}) }()
		synctest.Wait()
		cancel()
		if err := <-done; chat.KindOf(err) != chat.Unavailable {
			t.Errorf("got %v, want Unavailable", err)
		}
		close(release)
		wg.Wait()
	})
}

func TestGroupUnderLoad(t *testing.T) {
	h := new(recorder)
	g := serve.NewGroup(h)
	var wg sync.WaitGroup
	const callers, each = 50, 100
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				if err := g.HandleEvents(t.Context(), []chat.Event{event(fmt.Sprintf("%d-%d", i, j))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := make(map[string]int)
	for _, call := range h.calls {
		for _, e := range call {
			seen[e.ID]++
		}
	}
	if len(seen) != callers*each {
		t.Errorf("%d of %d events handled", len(seen), callers*each)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s handled %d times", id, n)
		}
	}
}

// What a function panics with may be what somebody wrote: nobody is told.
func TestPanicsAreNotQuoted(t *testing.T) {
	const text = "what-somebody-wrote"
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)

	err := serve.NewGroup(&recorder{fail: func([]chat.Event) error { panic(text) }}).HandleEvents(t.Context(), []chat.Event{event("1")})
	if chat.KindOf(err) != chat.Internal || strings.Contains(err.Error(), text) {
		t.Errorf("a group's error: %v", err)
	}
	var f serve.Function
	f.Use(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errors.New(text)) }), nil)
	w := httptest.NewRecorder()
	f.Handle(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), text) {
		t.Errorf("a function's answer: %d, %s", w.Code, w.Body)
	}
	if strings.Contains(log.String(), text) || strings.Count(log.String(), "panicked with a") != 2 {
		t.Errorf("logged %s", &log)
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
