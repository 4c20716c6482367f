package main

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/functions/accounts"
	"knatter.dev/chat/functions/fanout"
	"knatter.dev/chat/functions/history"
	"knatter.dev/chat/functions/index"
	"knatter.dev/chat/functions/persist"
	"knatter.dev/chat/functions/rooms"
	"knatter.dev/chat/functions/search"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/program"
)

// Each function, started as Knative starts it, answers those alone who show the
// secret that it was told; and none starts when it was told an empty one.
func TestFunctionsDemandTheSecret(t *testing.T) {
	const secret = "secret-0123456789"
	keys := filepath.Join(t.TempDir(), "keys.pem")
	if _, err := auth.LoadOrCreateKey(keys); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"KNATTER_BROKERS": strings.Join(kafkatest.Start(t).Brokers, ","), "KNATTER_STORE": "memory:",
		"KNATTER_KEYS": keys, "KNATTER_JWKS": "http://127.0.0.1:1/", "KNATTER_CALLER_SECRET": secret,
	}
	made := map[string]func() program.Function{
		"accounts": func() program.Function { return accounts.New() },
		"rooms":    func() program.Function { return rooms.New() },
		"history":  func() program.Function { return history.New() },
		"search":   func() program.Function { return search.New() },
		"persist":  func() program.Function { return persist.New() },
		"index":    func() program.Function { return index.New() },
		"fanout":   func() program.Function { return fanout.New() },
	}
	e, err := chat.NewEvent("1", "mallory", chat.RoomCreated, "room", chat.RoomData{Name: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	e.Stream, e.Sequence = e.Room.Stream(), 1
	frame := string(e.AppendFrame(nil))
	for _, name := range functionNames() {
		t.Run(name, func(t *testing.T) {
			f := made[name]()
			if err := f.Start(t.Context(), env); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Stop(context.Background()) }()
			for shown, refused := range map[string]bool{"": true, "another-0123456789": true, secret: false} {
				for _, path := range []string{"/", "/v1/me", "/v1/rooms/room/messages", "/v1/accounts"} {
					r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(frame))
					r.Header.Set("Content-Type", "application/cloudevents+json")
					if shown != "" {
						r.Header.Set(auth.CallerHeader, shown)
					}
					w := httptest.NewRecorder()
					f.Handle(w, r)
					if got := w.Header().Get("WWW-Authenticate") == auth.CallerHeader; got != refused || refused && w.Code != http.StatusUnauthorized {
						t.Errorf("POST %s showing %q: %d, %v", path, shown, w.Code, w.Header())
					}
				}
			}
			empty := maps.Clone(env)
			empty["KNATTER_CALLER_SECRET"] = ""
			if err := made[name]().Start(t.Context(), empty); chat.KindOf(err) != chat.Invalid {
				t.Errorf("with an empty secret: %v", err)
			}
		})
	}
}
