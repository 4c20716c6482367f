package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"knatter.dev/chat"
)

// How a caller shows its secret to a function. KafkaSource sets no headers of its
// own, but adds attributes to events (ceOverrides), which come as headers.
const (
	CallerHeader    = "Knatter-Secret"
	CallerAttribute = "knattersecret"

	attributeHeader = "Ce-Knattersecret"
)

// minSecret is the least length of a secret, so that nobody takes a word for one.
const minSecret = 16

// Callers are the secrets by which a function knows those who may call it: the
// connector and whoever follows the log. A caller shows the first of them; a
// function takes any, so that a secret can be replaced while both are running.
//
// nil shows nothing and admits everybody.
type Callers struct {
	own    string
	hashes [][sha256.Size]byte
}

// NewCallers returns the callers that know one of the secrets.
//
// Errors: Invalid when there is none, or one is short or cannot be a header.
func NewCallers(secrets ...string) (*Callers, error) {
	if len(secrets) == 0 {
		return nil, chat.Errorf(chat.Invalid, "there is no secret")
	}
	c := &Callers{own: secrets[0]}
	for _, s := range secrets {
		if len(s) < minSecret || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, chat.Errorf(chat.Invalid, "a secret must have at least %d characters of printable ASCII", minSecret)
		}
		c.hashes = append(c.hashes, sha256.Sum256([]byte(s)))
	}
	return c, nil
}

// Admits reports whether the request shows one of the secrets. How long it takes
// says nothing about them.
func (c *Callers) Admits(r *http.Request) bool {
	if c == nil {
		return true
	}
	ok := c.admit(r.Header.Get(CallerHeader))
	return c.admit(r.Header.Get(attributeHeader)) || ok
}

func (c *Callers) admit(shown string) bool {
	hash := sha256.Sum256([]byte(shown))
	ok := 0
	for i := range c.hashes {
		ok |= subtle.ConstantTimeCompare(hash[:], c.hashes[i][:])
	}
	return ok == 1
}

// Show makes the headers of a request show our secret, and nobody else's: what a
// client has sent under that name is not passed on.
func (c *Callers) Show(h http.Header) {
	h.Del(CallerHeader)
	h.Del(attributeHeader)
	if c != nil {
		h.Set(CallerHeader, c.own)
	}
}

// Challenge makes the headers of a 401 say that it is about the caller's secret,
// and not about the user who is behind the request.
func Challenge(h http.Header) { h.Set("WWW-Authenticate", CallerHeader) }

// Challenged reports whether a function has refused us as its caller.
func Challenged(resp *http.Response) bool {
	return resp.StatusCode == http.StatusUnauthorized && resp.Header.Get("WWW-Authenticate") == CallerHeader
}
