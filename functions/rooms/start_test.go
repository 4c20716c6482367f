package rooms

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"knatter.dev/chat/internal/kafka/kafkatest"
)

func TestStart(t *testing.T) {
	env := map[string]string{
		"KNATTER_BROKERS": strings.Join(kafkatest.Start(t).Brokers, ","),
		"KNATTER_STORE":   "memory:",
	}
	f := New()
	if err := f.Start(t.Context(), env); err == nil {
		t.Fatal("started without the keys' URL")
	}
	stranger := setUp(t).person("stranger")
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(stranger.x.signer.KeySet())
	}))
	defer keys.Close()
	env["KNATTER_JWKS"] = keys.URL
	if err := f.Start(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	if ready, err := f.Ready(t.Context()); !ready || err != nil {
		t.Errorf("not ready: %v, %v", ready, err)
	}
	// The started store is empty, so no session can be known there.
	stranger.x.f = f
	stranger.does("GET", "/v1/rooms", nil, http.StatusUnauthorized)
	if err := f.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	stranger.does("GET", "/v1/rooms", nil, http.StatusServiceUnavailable)
}
