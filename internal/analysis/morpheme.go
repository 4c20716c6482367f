package analysis

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/ikawaha/kagome/v2/tokenizer"
)

// morpheme is a content morpheme and the runes of the text that it comes from:
// its own, or those of the whole inflected form.
type morpheme struct {
	term       string
	surface    string // the form as it stands, where that may be a stem as well; else ""
	start, end int
	helper     bool // see contentOf
	joined     bool // to the morpheme before it: both are parts of one entry
}

func (m *morpheme) same(o *morpheme) bool {
	return m.term == o.term ||
		m.surface != "" && (m.surface == o.term || m.surface == o.surface) ||
		o.surface != "" && o.surface == m.term
}

// maxLattice bounds the runes that are analysed at once; no Korean word is that
// long. Pairs of syllables are not affected by the borders between.
const maxLattice = 64

// lightVerb is 하다, which makes verbs of nouns; the dictionary calls it a verb
// or a suffix as it comes.
const lightVerb = "v하"

// morphemes are the content morphemes of a run of Hangul that starts at rune
// start of its text.
func morphemes(word []rune, start int) []morpheme {
	_ = dictionary.wait(context.Background()) // without a deadline it cannot fail
	var found []morpheme
	for from := 0; from < len(word); from += maxLattice {
		chunk := word[from:min(from+maxLattice, len(word))]
		for _, t := range dictionary.tokenizer.Tokenize(string(chunk)) {
			whole := morpheme{start: start + from + t.Start, end: start + from + t.End}
			pos, _ := t.FeatureAt(0)
			if t.Class == tokenizer.KNOWN {
				if parts, ok := dictionary.parts.of(t.ID); ok {
					found = appendParts(found, parts, whole, pos, t.Surface)
					continue
				}
			}
			if m, ok := content(whole, pos, t.Surface, t.Start == 0); ok {
				found = append(found, m)
			}
		}
	}
	return found
}

// content completes m, a form that the dictionary does not split; ok is false
// when it is not content, such as the letters of a laugh (ㅋㅋ).
func content(m morpheme, pos, surface string, initial bool) (_ morpheme, ok bool) {
	pos, _, _ = strings.Cut(pos, "+")
	tag, helper := contentOf(pos)
	if initial && (pos == "XSV" || pos == "XSA") {
		tag = tagVerb // no noun before it whose suffix it could be
	}
	first, _ := utf8.DecodeRuneInString(surface)
	if tag == 0 || m.end-m.start > maxTerm || first < '가' || first > '힣' {
		return m, false
	}
	m.term = string(rune(tag)) + surface
	m.helper = helper || m.term == lightVerb && !initial
	return m, true
}

// appendParts appends the parts of a compound or an inflected form.
func appendParts(found []morpheme, parts []string, whole morpheme, pos, surface string) []morpheme {
	// The parts of a compound have places of their own; those of an inflected form
	// have grown together.
	rest := surface
	for _, p := range parts {
		rest = strings.TrimPrefix(rest, p[1:])
	}
	apart := rest == ""
	m := whole
	for i, p := range parts {
		m.term = p
		m.joined = i > 0
		// What begins with an ending continues a verb: 줘 in 가줘 is an auxiliary too.
		m.helper = strings.HasPrefix(pos, "VX") || strings.HasPrefix(pos, "E")
		if len(parts) == 1 && p[0] == tagVerb && !strings.Contains(pos, "+") {
			m.surface = string(rune(tagVerb)) + surface // 걸 is 걷 before a vowel, and a stem itself
		}
		if apart {
			m.end = m.start + utf8.RuneCountInString(p[1:])
		}
		found = append(found, m)
		if apart {
			m.start, m.end = m.end, whole.end
		}
	}
	return found
}
