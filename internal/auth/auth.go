// Package auth issues and checks access tokens: JSON Web Tokens signed with
// Ed25519 by the accounts function and checked by everyone else with the public
// keys that it publishes.
package auth

import (
	"time"

	"github.com/go-jose/go-jose/v4"

	"knatter.dev/chat"
)

// Issuer is the claim iss of every token and, since all of Knatter is one
// audience, its claim aud too.
const Issuer = "knatter"

// algorithms is what tokens may be signed with. The header's own word for it is
// never trusted: "none", or an HMAC made with the public key, does not parse.
var algorithms = []jose.SignatureAlgorithm{jose.EdDSA}

// Claims is what a token says about its bearer.
type Claims struct {
	User     chat.UserID
	Nickname string // when the token was issued
	Session  string
	Expires  time.Time // whole seconds in a token
}

// names is the part of the claims that the JWT standard has no word for.
type names struct {
	Session  string `json:"sid"`
	Nickname string `json:"name"`
}
