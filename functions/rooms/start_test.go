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
	stranger := setUp(t).person("stranger")
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(stranger.x.signer.KeySet())
	}))
	defer keys.Close()
	f := Spec.Instance()
	if err := f.Start(t.Context(), map[string]string{
		"KNATTER_BROKERS": strings.Join(kafkatest.Start(t).Brokers, ","),
		"KNATTER_STORE":   "memory:",
		"KNATTER_JWKS":    keys.URL,
	}); err != nil {
		t.Fatal(err)
	}
	// The started store is empty, so no session can be known there.
	stranger.x.f.Handler = http.HandlerFunc(f.Handle)
	stranger.does("GET", "/v1/rooms", nil, http.StatusUnauthorized)
	if err := f.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
