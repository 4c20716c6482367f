// Package names makes what people and rooms are called: new IDs, and display
// names in their one form.
package names

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"knatter.dev/chat"
)

// crockford is base32 without the letters that are misread: room IDs are read
// out and typed.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// random returns n random characters of five bits each.
func random(n int) string {
	b := make([]byte, (n*5+7)/8)
	_, _ = rand.Read(b) // never fails
	return crockford.EncodeToString(b)[:n]
}

// NewUser returns a new user's ID: 80 random bits.
func NewUser() chat.UserID { return chat.UserID(random(16)) }

// NewSession returns a new session's ID: 130 random bits.
func NewSession() string { return random(26) }

// NewRoom returns a new room's ID, such as 7q2m-x0fd-9kzt: 60 random bits, not to
// be guessed by trying while requests are limited.
func NewRoom() chat.RoomID {
	s := random(12)
	return chat.RoomID(s[:4] + "-" + s[4:8] + "-" + s[8:])
}

// NewInvite returns a new invite's code: 100 random bits.
func NewInvite() string { return random(20) }

// Direct is the ID of the direct room of two users, in whatever order.
func Direct(a, b chat.UserID) chat.RoomID {
	if b < a {
		a, b = b, a
	}
	sum := sha256.Sum256([]byte(string(a) + "\x00" + string(b)))
	return chat.RoomID("d-" + hex.EncodeToString(sum[:])[:20])
}

// NewEvent returns a new event's ID.
func NewEvent() string { return uuid.Must(uuid.NewV7()).String() }

// Clean returns a display name as it is stored and shown: without space around
// it and in normal form C, so that what looks the same is the same. what names
// the member of the request in the error's detail and reason.
//
// Errors: Invalid when it has not 1 to most code points or nothing to see, or has
// control characters, line breaks or marks that turn the direction of the text
// around it.
func Clean(what, name string, most int) (string, error) {
	name = norm.NFC.String(strings.TrimSpace(name))
	switch n := utf8.RuneCountInString(name); {
	case n < 1:
		return "", chat.Invalidf(what+"-too-short", "%s must have 1 to %d characters", what, most)
	case n > most:
		return "", chat.Invalidf(what+"-too-long", "%s must have 1 to %d characters", what, most)
	}
	visible := false
	for _, c := range name {
		if unicode.In(c, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return "", chat.Invalidf(what+"-control-characters", "%s must not have control characters", what)
		}
		visible = visible || isBase(c)
	}
	if !visible {
		return "", chat.Invalidf(what+"-invisible", "%s must have a character that can be seen: a letter, a number, a sign or an emoji", what)
	}
	return name, nil
}
