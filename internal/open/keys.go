package open

import (
	"fmt"
	"strings"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
)

// Keys says where the public keys are: at the URL KNATTER_JWKS, from which they
// are fetched when they are asked for. Errors: Invalid when it is not set.
func Keys(env map[string]string) (auth.KeySource, error) {
	jwks := env["KNATTER_JWKS"]
	if jwks == "" {
		return nil, chat.Errorf(chat.Invalid, "KNATTER_JWKS must be the URL of the accounts function's public keys")
	}
	return auth.JWKS(jwks, nil), nil
}

// Signer reads the signing key: KNATTER_KEYS is a PEM document or the path of one. The
// key is not made up when there is none, since every replica would make up its own.
func Signer(env map[string]string) (*auth.Signer, error) {
	key := env["KNATTER_KEYS"]
	read := auth.LoadKey
	if strings.HasPrefix(strings.TrimSpace(key), "-----BEGIN") {
		read = func(document string) (*auth.Signer, error) { return auth.ParseKey([]byte(document)) }
	}
	signer, err := read(key)
	if err != nil {
		return nil, fmt.Errorf("KNATTER_KEYS: %w", err)
	}
	return signer, nil
}
