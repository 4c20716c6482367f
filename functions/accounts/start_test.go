package accounts

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/kafka/kafkatest"
)

func TestStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	env := map[string]string{
		"KNATTER_BROKERS": strings.Join(kafkatest.Start(t).Brokers, ","),
		"KNATTER_STORE":   "memory:",
		"KNATTER_KEYS":    path,
	}
	if err := New().Start(t.Context(), env); err == nil {
		t.Fatal("started without a key")
	}
	if _, err := auth.LoadOrCreateKey(path); err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{path, string(document)} {
		env["KNATTER_KEYS"] = key
		x := &fixture{T: t, f: New()}
		if ready, err := x.f.Ready(t.Context()); ready || err != nil {
			t.Errorf("ready before Start: %v, %v", ready, err)
		}
		if err := x.f.Start(t.Context(), env); err != nil {
			t.Fatal(err)
		}
		if ready, err := x.f.Ready(t.Context()); !ready || err != nil {
			t.Errorf("not ready: %v, %v", ready, err)
		}
		x.signUp("minji")
		x.do("DELETE", "/v1/sessions", x.logIn("minji").Access, nil).want(http.StatusNoContent)
		for range 2 {
			if err := x.f.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
		x.do("GET", "/v1/me", "", nil).want(http.StatusServiceUnavailable)
	}
}
