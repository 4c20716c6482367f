// Package authtest gives tests a signer of tokens.
package authtest

import (
	"crypto/ed25519"
	"testing"

	"knatter.dev/chat/internal/auth"
)

// Signer returns a signer with a new key.
func Signer(t testing.TB) *auth.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return auth.NewSigner(private)
}
