package analysis

import (
	"context"
	"strings"
	"unicode/utf8"
)

// morpheme is a content morpheme and the runes of the text that it comes from:
// its own, or those of the whole inflected form.
type morpheme struct {
	tag        byte
	word       string
	surface    string // the form as it stands, where that may be a stem as well; else ""
	start, end int
	helper     bool // see contentOf
	joined     bool // to the morpheme before it: both are parts of one entry
}

func (m *morpheme) same(o *morpheme) bool {
	return m.tag == o.tag && (m.word == o.word ||
		m.surface != "" && (m.surface == o.word || m.surface == o.surface) ||
		o.surface != "" && o.surface == m.word)
}

// lightVerb is 하다, which makes verbs of nouns; the dictionary calls it a verb
// or a suffix as it comes.
const lightVerb = "하"

// morphemes are the content morphemes of a word of Hangul. It waits for the
// dictionary.
func morphemes(word []rune) []morpheme {
	a := analysers.Get().(*analyser)
	defer analysers.Put(a)
	return a.lattice.morphemes(nil, word, 0)
}

// morphemes appends the content morphemes of a run of Hangul that starts at rune
// start of its text. It waits for the dictionary.
func (l *lattice) morphemes(found []morpheme, word []rune, start int) []morpheme {
	_ = dictionary.wait(context.Background()) // without a deadline it cannot fail
	lex := dictionary.lexicon
	for from := 0; from < len(word); from += maxLattice {
		l.analyse(lex, word[from:min(from+maxLattice, len(word))])
		for i := range l.tokens {
			t := &l.tokens[i]
			whole := morpheme{start: start + from + t.start, end: start + from + t.end}
			traits := lex.entries[t.id].traits
			if traits&split != 0 {
				found = appendParts(found, lex.parts.of(t.id), whole, traits, t.surface)
			} else if m, ok := content(whole, traits, t.surface, t.start == 0); ok {
				found = append(found, m)
			}
		}
	}
	return found
}

// content completes m, a form that the dictionary does not split; ok is false
// when it is not content, such as the letters of a laugh (ㅋㅋ).
func content(m morpheme, t traits, surface string, initial bool) (_ morpheme, ok bool) {
	switch {
	case t&verb != 0, initial && t&suffix != 0: // no noun before it whose suffix it could be
		m.tag = tagVerb
	case t&noun != 0:
		m.tag = tagNoun
	default:
		return m, false
	}
	first, _ := utf8.DecodeRuneInString(surface)
	if m.end-m.start > maxTerm || first < firstSyllable || first > lastSyllable {
		return m, false
	}
	m.word = surface
	m.helper = t&helper != 0 || m.tag == tagVerb && surface == lightVerb && !initial
	return m, true
}

// appendParts appends the parts of a compound or an inflected form.
func appendParts(found []morpheme, parts string, whole morpheme, t traits, surface string) []morpheme {
	// The parts of a compound have places of their own; those of an inflected form
	// have grown together.
	rest, n := surface, 0
	for p := range strings.FieldsSeq(parts) {
		rest = strings.TrimPrefix(rest, p[1:])
		n++
	}
	apart := rest == ""
	m := whole
	m.helper = t&continues != 0 // 줘 in 가줘 is an auxiliary too
	for p := range strings.FieldsSeq(parts) {
		m.tag, m.word = p[0], p[1:]
		if n == 1 && m.tag == tagVerb && t&grown == 0 {
			m.surface = surface // 걸 is 걷 before a vowel, and a stem itself
		}
		if apart {
			m.end = m.start + utf8.RuneCountInString(m.word)
		}
		found = append(found, m)
		if apart {
			m.start, m.end = m.end, whole.end
		}
		m.joined = true
	}
	return found
}
