package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"knatter.dev/chat"
)

// The header and the attribute by which a caller shows its secret to a function.
// KafkaSource sets no headers of its own, but adds attributes to events (ceOverrides),
// which arrive as headers.
const (
	CallerHeader    = "Knatter-Secret"
	CallerAttribute = "knattersecret"

	attributeHeader = "Ce-Knattersecret"
)

// minSecret is the minimum length of a secret, so that nobody chooses a word.
const minSecret = 16

// Callers holds the secrets by which a function recognizes its callers: the connector,
// and whoever delivers events. A caller shows the first secret. A function accepts any
// of them, so that a secret can be replaced while both run.
//
// A nil Callers shows nothing and admits everybody.
type Callers struct {
	own    string
	hashes [][sha256.Size]byte
}

// NewCallers returns callers with the secrets.
//
// Errors: Invalid if there is none, or one is too short or not valid in a header.
func NewCallers(secrets ...string) (*Callers, error) {
	if len(secrets) == 0 {
		return nil, chat.Errorf(chat.Invalid, "no secret given")
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

// Admits reports whether the request shows one of the secrets. It takes the same time
// for every wrong secret.
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

// Show sets our secret in the headers of a request. It replaces what a client may have
// sent under that name.
func (c *Callers) Show(h http.Header) {
	h.Del(CallerHeader)
	h.Del(attributeHeader)
	if c != nil {
		h.Set(CallerHeader, c.own)
	}
}

// Challenge marks the headers of a 401 as concerning the caller's secret, and not the
// user behind the request.
func Challenge(h http.Header) { h.Set("WWW-Authenticate", CallerHeader) }

// Challenged reports whether a function has refused our secret.
func Challenged(resp *http.Response) bool {
	return resp.StatusCode == http.StatusUnauthorized && resp.Header.Get("WWW-Authenticate") == CallerHeader
}
