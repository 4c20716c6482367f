package functions_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/functions"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/kafka/kafkatest"
)

const secret = "secret-0123456789"

// Whoever follows the log or passes requests on goes by the tables of the root package.
func TestFunctionsAreThoseOfTheTables(t *testing.T) {
	var requests, events, wanted []string
	for _, f := range functions.All {
		switch {
		case (f.Requests == nil) == (f.Events == nil):
			t.Errorf("%s is not one of an event function and a request function", f.Name)
		case f.Requests != nil:
			requests = append(requests, f.Name)
		default:
			events = append(events, f.Name)
		}
	}
	for _, f := range chat.EventFunctions {
		wanted = append(wanted, f.Name)
	}
	if !slices.Equal(requests, chat.RequestFunctions) || !slices.Equal(events, wanted) {
		t.Errorf("there are %v and %v, the tables have %v and %v", requests, events, chat.RequestFunctions, wanted)
	}
}

// environment is all that a function can be told.
func environment(t *testing.T) map[string]string {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "keys.pem")
	if _, err := auth.LoadOrCreateKey(keys); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"KNATTER_BROKERS": strings.Join(kafkatest.Start(t).Brokers, ","), "KNATTER_STORE": "memory:",
		"KNATTER_KEYS": keys, "KNATTER_JWKS": "http://127.0.0.1:1/", "KNATTER_CALLER_SECRET": secret,
	}
}

// ask posts to a function and returns the answer.
func ask(t *testing.T, f *function.Instance, path, body, shown string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/cloudevents+json")
	if shown != "" {
		r.Header.Set(auth.CallerHeader, shown)
	}
	w := httptest.NewRecorder()
	f.Handle(w, r)
	return w
}

// Each function, started as Knative starts it, answers those alone who show the
// secret that it was told; and none starts when it was told an empty one.
func TestFunctionsDemandTheSecret(t *testing.T) {
	env := environment(t)
	e, err := chat.NewEvent("1", "mallory", chat.RoomCreated, "room", chat.RoomData{Name: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	e.Stream, e.Sequence = e.Room.Stream(), 1
	frame := string(e.AppendFrame(nil))
	for _, spec := range functions.All {
		t.Run(spec.Name, func(t *testing.T) {
			f := spec.Instance()
			if err := f.Start(t.Context(), env); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Stop(context.Background()) }()
			for shown, refused := range map[string]bool{"": true, "another-0123456789": true, secret: false} {
				for _, path := range []string{"/", "/v1/me", "/v1/rooms/room/messages", "/v1/accounts"} {
					w := ask(t, f, path, frame, shown)
					if got := w.Header().Get("WWW-Authenticate") == auth.CallerHeader; got != refused || refused && w.Code != http.StatusUnauthorized {
						t.Errorf("POST %s showing %q: %d, %v", path, shown, w.Code, w.Header())
					}
				}
			}
			empty := maps.Clone(env)
			empty["KNATTER_CALLER_SECRET"] = ""
			if err := spec.Instance().Start(t.Context(), empty); chat.KindOf(err) != chat.Invalid {
				t.Errorf("with an empty secret: %v", err)
			}
		})
	}
}

// A function answers nothing before it has started and after it was stopped.
func TestLife(t *testing.T) {
	env := environment(t)
	for _, spec := range functions.All {
		t.Run(spec.Name, func(t *testing.T) {
			f := spec.Instance()
			at := func(when string, want bool) {
				t.Helper()
				if ready, err := f.Ready(t.Context()); ready != want || err != nil {
					t.Errorf("%s: ready is %t, %v", when, ready, err)
				}
				if alive, err := f.Alive(t.Context()); !alive || err != nil {
					t.Errorf("%s: alive is %t, %v", when, alive, err)
				}
				if w := ask(t, f, "/", "", secret); (w.Code != http.StatusServiceUnavailable) != want {
					t.Errorf("%s: status %d", when, w.Code)
				}
			}
			at("before the start", false)
			if err := f.Stop(t.Context()); err != nil {
				t.Errorf("stopped before the start: %v", err)
			}
			if err := f.Start(t.Context(), env); err != nil {
				t.Fatal(err)
			}
			at("started", true)
			for range 2 {
				if err := f.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				at("stopped", false)
			}
		})
	}
}

// A function does not start without what it needs, and says what that is.
func TestFunctionsNameWhatIsMissing(t *testing.T) {
	env := environment(t)
	for _, spec := range functions.All {
		for name, needed := range map[string]bool{
			"KNATTER_STORE": true, "KNATTER_BROKERS": spec.Needs.Log, "KNATTER_JWKS": spec.Needs.Verifier, "KNATTER_KEYS": spec.Needs.Signer,
		} {
			less := maps.Clone(env)
			delete(less, name)
			f := spec.Instance()
			err := f.Start(t.Context(), less)
			if (err != nil) != needed || err != nil && !strings.Contains(err.Error(), name) {
				t.Errorf("%s without %s: %v", spec.Name, name, err)
			}
			if err := f.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}
