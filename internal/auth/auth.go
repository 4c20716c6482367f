// Package auth issues and checks access tokens: JSON Web Tokens signed with
// Ed25519 by the accounts function and checked by everyone else with the public
// keys that it publishes.
package auth

import (
	"time"

	"github.com/go-jose/go-jose/v4"

	"knatter.dev/chat"
)

// Issuer is the claim iss of every token. Since all of Knatter is one audience, it is
// the claim aud too.
const Issuer = "knatter"

// algorithms has the accepted signature algorithms. The header's own claim is never
// trusted: "none", or an HMAC made with the public key, does not parse.
var algorithms = []jose.SignatureAlgorithm{jose.EdDSA}

// Claims are the statements of a token about its bearer.
type Claims struct {
	User     chat.UserID
	Nickname string // as of when the token was issued
	Session  string
	Expires  time.Time // whole seconds in a token
}

// names holds the claims for which the JWT standard has no name.
type names struct {
	Session  string `json:"sid"`
	Nickname string `json:"name"`
}
