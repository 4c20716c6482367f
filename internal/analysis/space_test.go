package analysis

import (
	"slices"
	"testing"
)

// Wherever the one space is, the index is asked for what the message has.
func TestSpaceAnywhere(t *testing.T) {
	for _, word := range []string{"때에한하여", "헌법재판소재판관", "국가안전보장회의사무처장"} {
		syllables := []rune(word)
		for i := 1; i < len(syllables); i++ {
			text := string(syllables[:i]) + " " + string(syllables[i:])
			terms := Terms(text)
			for _, w := range Words(word) {
				if !slices.ContainsFunc(w.Any, func(all []string) bool {
					return !slices.ContainsFunc(all, func(term string) bool { return !slices.Contains(terms, term) })
				}) {
					t.Errorf("%q is not asked for %q", text, word)
				}
			}
			if _, all := Parse(word).Match(text); !all {
				t.Errorf("%q does not match %q", text, word)
			}
		}
	}
	for _, text := range []string{"때에 한 하여", "때에 만 한하여", "때에만 한하여", "한하여 때에", "때에 한하"} {
		if found := newMatcher(normalise(text)).withSpace([]rune("때에한하여")); found != nil {
			t.Errorf("%q: found %v", text, found)
		}
	}
}
