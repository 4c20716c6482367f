package analysis

import (
	"unicode/utf8"

	"knatter.dev/chat/internal/analysis/lexicon"
)

// morpheme is a content morpheme and the runes of the text that it comes from:
// its own, or those of the whole inflected form.
type morpheme struct {
	tag        byte
	word       string
	surface    string // the form as it stands, where that may be a stem as well; else ""
	start, end int
	helper     bool // a query that has other content does not insist on it
	joined     bool // to the morpheme before it: both are parts of one entry
}

func (m *morpheme) same(o *morpheme) bool {
	return m.tag == o.tag && (m.word == o.word ||
		m.surface != "" && (m.surface == o.word || m.surface == o.surface) ||
		o.surface != "" && o.surface == m.word)
}

// beginsWord reports whether a morpheme begins a part of a compound, which people
// look for by its first consonants as for a word.
func (m *morpheme) beginsWord() bool { return m.tag == tagNoun && !m.helper && m.start > 0 }

// lightVerb is 하다, which makes verbs of nouns; the dictionary calls it a verb
// or a suffix as it comes.
const lightVerb = "하"

// morphemes are the content morphemes of a word of Hangul.
func morphemes(word []rune) []morpheme {
	a := analysers.Get().(*analyser)
	defer analysers.Put(a)
	return a.lattice.morphemes(nil, word, 0)
}

// morphemes appends the content morphemes of a run of Hangul that starts at rune
// start of its text.
func (l *lattice) morphemes(found []morpheme, word []rune, start int) []morpheme {
	lex := lexicon.Korean()
	for from := 0; from < len(word); from += maxLattice {
		l.analyse(lex, word[from:min(from+maxLattice, len(word))])
		for i := range l.tokens {
			t := &l.tokens[i]
			whole := morpheme{start: start + from + t.start, end: start + from + t.end}
			e := lex.Entry(t.id)
			if e.Split() {
				found = appendParts(found, lex.Shape(e), whole, e.Traits(), t.surface)
			} else if m, ok := content(whole, e.Traits(), t.surface, t.start == 0); ok {
				found = append(found, m)
			}
		}
	}
	return found
}

// content completes m, a form that the dictionary does not split; ok is false
// when it is not content, such as the letters of a laugh (ㅋㅋ).
func content(m morpheme, t lexicon.Traits, surface string, initial bool) (_ morpheme, ok bool) {
	switch {
	case t&lexicon.Verb != 0, initial && t&lexicon.Suffix != 0: // no noun before it whose suffix it could be
		m.tag = tagVerb
	case t&lexicon.Noun != 0:
		m.tag = tagNoun
	default:
		return m, false
	}
	first, _ := utf8.DecodeRuneInString(surface)
	if m.end-m.start > maxTerm || first < firstSyllable || first > lastSyllable {
		return m, false
	}
	m.word = surface
	m.helper = t&lexicon.Helper != 0 || m.tag == tagVerb && surface == lightVerb && !initial
	return m, true
}

// appendParts appends the parts of a compound or an inflected form.
func appendParts(found []morpheme, shape lexicon.Shape, whole morpheme, t lexicon.Traits, surface string) []morpheme {
	// The parts of a compound have places of their own; those of an inflected form
	// have grown together.
	m, apart := whole, shape.Apart()
	m.helper = t&lexicon.Continues != 0 // 줘 in 가줘 is an auxiliary too
	for traits, word := range shape.Parts(surface) {
		m.tag, m.word = tagNoun, word
		if traits&lexicon.Verb != 0 {
			m.tag = tagVerb
			if shape.Len() == 1 && t&lexicon.Grown == 0 {
				m.surface = surface // 걸 is 걷 before a vowel, and a stem itself
			}
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
