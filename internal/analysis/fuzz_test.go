package analysis

import (
	"slices"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

var seeds = []string{
	"", " ", "회의록을 공유해 주세요", "만났어요", "They're running", "東京都庁", "ｶﾞｰ Ｆｕｌｌ", "e\u0301\u0301", "\u0301",
	"ㅋㅋㅋ", "ㄱㅏ", "\u1100\u1161\u11a8", "👩‍💻❤️🇰🇷", "\xff\x00가", "\ufdfa㎒ﬁß", "go언어2024년", "가\u302e나", "İıſK",
}

func FuzzTerms(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		checkTerms(t, Terms(text))
	})
}

func FuzzWords(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, word := range Words(query) {
			if len(word.Any) == 0 {
				t.Fatalf("a word without alternatives")
			}
			for _, all := range word.Any {
				if len(all) == 0 {
					t.Fatalf("an alternative without terms: %q", word)
				}
				for _, term := range all {
					checkTerms(t, []string{term})
				}
			}
		}
	})
}

// FuzzHighlights also holds the two sides against each other: what the text
// itself matches, the index finds.
func FuzzHighlights(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, s)
		f.Add(s, "r")
		f.Add("회의록을 공유해 주세요. They were running 👩‍💻 東京", s)
	}
	f.Fuzz(func(t *testing.T, text, query string) {
		units := len(utf16.Encode([]rune(text)))
		at := -1
		for _, r := range Highlights(text, query) {
			if r[0] <= at || r[0] >= r[1] || r[1] > units {
				t.Fatalf("range %v after %d of %d units", r, at, units)
			}
			at = r[1]
		}
		if utf8.RuneCountInString(text) > maxRunes/18 || utf8.RuneCountInString(query) > 200 {
			return // the limits cut
		}
		if _, all := Parse(query).Match(text); all && !found(indexed(text), query) {
			t.Fatalf("%q matches %q, but %q has not %q", text, query, Terms(text), Words(query))
		}
		if len(Words(query)) > 0 && !slices.ContainsFunc([]rune(query), func(r rune) bool { return classOf(r) == spaced || classOf(r) == mark }) {
			if _, all := Parse(query).Match(text + " " + query); !all {
				t.Fatalf("%q does not match itself", query)
			}
		}
	})
}
