// Package emoji knows what is one emoji.
package emoji

import (
	_ "embed"
	"strings"
	"sync"
)

// sequences are Unicode's fully qualified emoji and components, a line each, as in
// https://unicode.org/Public/emoji/latest/emoji-test.txt.
//
//go:embed sequences.txt
var sequences string

// variation says that the character before it is shown as an emoji. It may be left out.
const variation = "\ufe0f"

// qualified are the fully qualified emoji by what they are without variation selectors.
var qualified = sync.OnceValue(func() map[string]string {
	all := make(map[string]string)
	for line := range strings.Lines(sequences) {
		line = strings.TrimSuffix(line, "\n")
		all[strings.ReplaceAll(line, variation, "")] = line
	}
	return all
})

// Qualify returns the fully qualified form of an emoji, and whether s is one emoji: with
// and without variation selectors it is the same one.
func Qualify(s string) (string, bool) {
	if strings.HasPrefix(s, variation) || strings.Contains(s, variation+variation) {
		return "", false
	}
	full, ok := qualified()[strings.ReplaceAll(s, variation, "")]
	return full, ok
}
