package accounts

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// The most common passwords of at least eight characters, in lower case and sorted:
// those of the 20,000 by Royce Williams that Django, too, refuses (BSD licence).
//
//go:embed common.txt
var commonFile string

var commonPasswords = sync.OnceValue(func() []string { return strings.Split(strings.TrimSpace(commonFile), "\n") })

// common reports whether a password is among the first that anybody would try, or
// one character over and over.
func common(password string) bool {
	folded := strings.ToLower(strings.TrimSpace(password))
	_, found := slices.BinarySearch(commonPasswords(), folded)
	first, _ := utf8.DecodeRuneInString(folded)
	return found || strings.Trim(folded, string(first)) == ""
}

// blank reports whether nothing of a password is to be seen.
func blank(password string) bool {
	return !strings.ContainsFunc(password, func(r rune) bool {
		switch r {
		case '\u115f', '\u1160', '\u2800', '\u3164': // letters and a symbol by category, and yet nothing
			return false
		}
		return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S)
	})
}
