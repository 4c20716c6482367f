// Package analysis turns text into the terms of the search index. Messages and
// queries go through the same steps, so what one side calls a term the other
// does too:
//
//   - Text is brought to one form (NFKC, case folding, invisible characters
//     dropped), so that composed, decomposed, half-width and full-width forms
//     are the same.
//   - It is cut into runs of one kind of script. A run of Hangul gives its
//     syllables, its pairs of syllables, and its morphemes from the mecab-ko
//     dictionary: nouns, and verbs and adjectives by their stem, compounds in
//     their parts; particles and endings are left out. A run of a script
//     written without spaces (Han, kana, Thai, …) or of symbols and emoji gives
//     its characters and pairs. Any other word gives its English stem and its
//     beginnings.
//   - A query's word matches by its pairs, that is as any part of a Hangul or
//     Han text; by its morphemes, that is in any inflection; or, in other
//     scripts, as the beginning of a word or by its stem. The inside of a Latin
//     word is not searchable.
//
// The index only says that all pairs or morphemes of a word are somewhere in a
// message. [Query.Match] reads the text itself and tells whether and where they
// are together.
//
// Each white-space word is analysed by itself, not in its sentence: that costs a
// few readings that only the sentence would tell, but a word has the same
// morphemes in every message and every query.
package analysis

import (
	"context"
	"unicode/utf8"

	"knatter.dev/chat"
)

// Limits. What lies beyond is not indexed and never highlighted.
const (
	// maxRunes bounds a text after normalisation, which may lengthen it: no text
	// of chat.MaxText code points is cut unless it is made of characters that
	// stand for several, such as ㎒.
	maxRunes = 2 * chat.MaxText

	// maxTerms bounds the terms of a text; chat.MaxText different Hangul
	// syllables have fewer.
	maxTerms = 4 * chat.MaxText

	// maxTerm bounds the letters of a morpheme or stem, and so a term's bytes
	// (four for each letter, and the tag). Longer words are found by their
	// beginning or their pairs.
	maxTerm = 32

	// minPrefix and maxPrefix bound the beginnings of a word that are terms. The
	// search for a longer beginning takes the longest term and reads the text.
	minPrefix = 2
	maxPrefix = 8
)

// A term's first byte says what it is.
const (
	tagGram   = 'g' // one or two characters of a script without spaces
	tagNoun   = 'm' // a morpheme that is no verb
	tagVerb   = 'v' // the stem of a verb or adjective
	tagStem   = 's' // an English stem, or a word of another language
	tagPrefix = 'p' // the beginning of a word
)

// Preload starts loading the dictionary in the background, once for the process:
// it takes two seconds of one core, and 90 MB of memory that stay (several times
// that while loading).
func Preload() { dictionary.start() }

// Load waits for the dictionary, and starts loading it if nobody has. The error
// is ctx's; the loading goes on then.
func Load(ctx context.Context) error { return dictionary.wait(ctx) }

// Ready tells whether the dictionary is loaded. It neither loads nor waits.
func Ready() bool { return dictionary.ready() }

// Terms are the distinct index terms of a message. They are valid UTF-8 without
// NUL, at most 129 bytes each and at most 16,000. It waits for the dictionary.
func Terms(s string) []string {
	t := normalise(s)
	set := termSet{seen: make(map[string]struct{}, 2*len(t.runes))}
	for _, r := range t.runs() {
		word := t.runes[r.start:r.end]
		switch r.class {
		case hangul:
			set.addGrams(word)
			for _, m := range morphemes(word, r.start) {
				set.add(m.term)
				if m.surface != "" {
					set.add(m.surface)
				}
			}
		case unspaced:
			set.addGrams(word)
		case spaced:
			for n := min(minPrefix, len(word)); n <= min(maxPrefix, len(word)); n++ {
				set.add(term(tagPrefix, word[:n]))
			}
			if stem := stemOf(word); stem != "" {
				set.add(stem)
			}
		}
	}
	return set.terms
}

// Words are the words of a query, all of which a message must match; none when
// nothing in it is searchable. It waits for the dictionary.
func Words(query string) []chat.Word { return Parse(query).Words() }

// Highlights are the parts of a message that match words of the query, whether
// or not all do: ranges of UTF-16 code units of the text as it was given,
// ascending, neither overlapping nor touching.
func Highlights(text, query string) [][2]int {
	ranges, _ := Parse(query).Match(text)
	return ranges
}

// termSet gathers distinct terms in the order of their first appearance.
type termSet struct {
	seen  map[string]struct{}
	terms []string
}

func (s *termSet) add(t string) {
	if _, ok := s.seen[t]; ok || len(s.terms) == maxTerms {
		return
	}
	s.seen[t] = struct{}{}
	s.terms = append(s.terms, t)
}

func (s *termSet) addGrams(word []rune) {
	for i := range word {
		s.add(term(tagGram, word[i:i+1]))
		if i > 0 {
			s.add(term(tagGram, word[i-1:i+1]))
		}
	}
}

func term(tag byte, word []rune) string {
	var buf [1 + maxTerm*utf8.UTFMax]byte
	b := append(buf[:0], tag)
	for _, r := range word {
		b = utf8.AppendRune(b, r)
	}
	return string(b)
}
