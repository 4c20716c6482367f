package connector_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"knatter.dev/chat/connector"
)

// The rig has no function accounts: the connector has the keys itself.
func TestKeys(t *testing.T) {
	r := newRig(t, connector.Config{})
	resp, err := http.Get("http://" + r.base + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var got jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if want := r.signer.KeySet(); resp.StatusCode != http.StatusOK || len(got.Keys) != 1 || got.Keys[0].KeyID != want.Keys[0].KeyID {
		t.Errorf("status %d, keys %v, want %v", resp.StatusCode, got, want)
	}
	if got := resp.Header.Get("Cache-Control"); got != "public, max-age=300" {
		t.Errorf("Cache-Control %q", got)
	}
}
