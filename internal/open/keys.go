package open

import (
	"fmt"
	"strings"

	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/setting"
)

// Keys says where the public keys are: at the URL KNATTER_JWKS, from which they
// are fetched when they are asked for. Errors: Invalid when it is not set.
func Keys(env setting.Env) (auth.KeySource, error) {
	var url string
	if err := setting.Read(env, KeySetting(&url)); err != nil {
		return nil, err
	}
	return auth.JWKS(url, nil), nil
}

// Signer reads the signing key: KNATTER_KEYS is a PEM document or the path of one. The
// key is not made up when there is none, since every replica would make up its own.
func Signer(env setting.Env) (*auth.Signer, error) {
	var key string
	if err := setting.Read(env, SignerSetting(&key)); err != nil {
		return nil, err
	}
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
