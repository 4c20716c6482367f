// Package analysis turns text into the terms of the search index. Messages and
// queries go through the same steps, so what one side calls a term the other
// does too:
//
//   - Text is brought to one form (fold.go): NFKC without case, invisible
//     characters and the marks that people leave out, so that Café is cafe. Letters
//     of Hangul by themselves (ㅋㅋ) stay so.
//   - It is cut into runs of one kind of script. A run of Hangul gives its
//     syllables, its pairs of syllables, its morphemes from the mecab-ko
//     dictionary (nouns, and verbs and adjectives by their stem, compounds in
//     their parts; particles and endings are left out), and the consonants that
//     begin it. A run of a script written without spaces (Han, kana, Thai, …), of
//     letters of Hangul, or of symbols and emoji gives its characters and pairs.
//     Any other word gives its English stem and its beginnings, and so does a
//     number in groups without what groups it (numbers.go).
//   - A query's word matches by its pairs, that is as any part of a Hangul or
//     Han text; by its morphemes, that is in any inflection; or, in other
//     scripts, as the beginning of a word or by its stem. The inside of a Latin
//     word is not searchable. Two or more consonants also match the words whose
//     syllables they begin; words in quotes must follow each other (phrase.go).
//
// The index only says that all pairs or morphemes of a word are somewhere in a
// message. [Query.Match] reads the text itself and reports whether and where they
// are together.
//
// Each white-space word is analysed by itself, not in its sentence: that costs a
// few readings that only the sentence would tell, but a word has the same
// morphemes in every message and every query.
package analysis

import (
	"sync"

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

	// minLeads and maxLeads do so for the syllables whose first consonants are.
	minLeads = 2
	maxLeads = 3
)

// A term's first byte says what it is.
const (
	tagGram   = 'g' // one or two characters of a script without spaces
	tagNoun   = 'm' // a morpheme that is no verb
	tagVerb   = 'v' // the stem of a verb or adjective
	tagStem   = 's' // an English stem, or a word of another language
	tagPrefix = 'p' // the beginning of a word
	tagLeads  = 'c' // the consonants that begin the first syllables of a Hangul word
)

// Version is raised by what changes the terms of any message: an index of lower ones is
// stale (see [chat.SearchIndex]). Documents had none until it was 2, and until 3 nothing
// but the terms of the text.
const Version = 3

// Terms are the distinct index terms of a message. They are valid UTF-8 without
// NUL, at most 129 bytes each and at most 16,000.
func Terms(s string) []string {
	a := analysers.Get().(*analyser)
	defer analysers.Put(a)
	return a.analyse(s)
}

// analyser is the memory that the analysis of a message needs, used again for the
// next.
type analyser struct {
	text      text
	lattice   lattice
	morphemes []morpheme
	terms     termSet // of the text
	word      termSet // of a word that the vocabulary learns
}

var analysers = sync.Pool{New: func() any { return new(analyser) }}

func (a *analyser) analyse(s string) []string {
	a.text.set(s)
	a.terms.reset()
	for r := range a.text.runs() {
		word := a.text.runes[r.start:r.end]
		if len(word) > maxVocabulary {
			a.addWord(&a.terms, r.class, word)
			continue
		}
		hash := hashOf(r.class, word)
		known := words.find(hash, r.class, word)
		if known == nil && words.again(hash) {
			a.word.reset()
			a.addWord(&a.word, r.class, word)
			known = words.learn(hash, r.class, word, &a.word)
		}
		if known != nil {
			a.terms.addKnown(known.terms)
		} else {
			a.addWord(&a.terms, r.class, word)
		}
	}
	for _, n := range a.text.numbers() {
		for _, ending := range n.endings() {
			a.addWord(&a.terms, spaced, ending.runes)
		}
	}
	return a.terms.strings()
}

// addWord adds the terms of a run of characters.
func (a *analyser) addWord(set *termSet, c class, word []rune) {
	switch c {
	case hangul:
		set.addGrams(word)
		a.morphemes = a.lattice.morphemes(a.morphemes[:0], word, 0)
		for i := range a.morphemes {
			m := &a.morphemes[i]
			set.addTagged(m.tag, m.word)
			if m.surface != "" {
				set.addTagged(m.tag, m.surface)
			}
		}
		set.addLeads(word)
		for i := range a.morphemes {
			if m := &a.morphemes[i]; m.beginsWord() {
				set.addLeads(word[m.start:])
			}
		}
	case letters, unspaced:
		set.addGrams(word)
	case spaced:
		for n := min(minPrefix, len(word)); n <= min(maxPrefix, len(word)); n++ {
			set.add(tagPrefix, word[:n])
		}
		if stem := stemOf(word); stem != "" {
			set.addTagged(tagStem, stem)
		}
	}
}

// Words are the words of a query, all of which a message must match; none when
// nothing in it is searchable.
func Words(query string) []chat.Word { return Parse(query).Words() }

// Highlights are the parts of a message that match words of the query, whether
// or not all do: ranges of UTF-16 code units of the text as it was given,
// ascending, neither overlapping nor touching.
func Highlights(text, query string) [][2]int {
	ranges, _ := Parse(query).Match(text)
	return ranges
}
