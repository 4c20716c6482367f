package analysis

import (
	"cmp"
	"slices"
	"strings"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/analysis/lexicon"
)

// Query is an analysed query. It is safe for concurrent use.
type Query struct {
	phrases []phrase
}

// phrase is one word, or words in quotes, which must follow each other.
type phrase []word

// word is what is between spaces: its segments must match, each where the one
// before it ends.
type word []segment

// segment is the part of a query's word that is in one kind of script.
type segment struct {
	class  class
	runes  []rune
	stem   string    // of a spaced segment
	groups []segment // of a number that is in groups in the query
	leads  bool      // consonants that may stand for the syllables they begin

	// The ways of a Hangul segment to match by morphemes: as analysed, and, when
	// it has the form in which dictionaries list verbs, as such a verb.
	ways [][]morpheme

	// The nouns of a Hangul segment that is nothing else but particles: they match
	// as they stand too, with or without spaces between, since what surrounds a
	// word can make the dictionary read it otherwise (국회의 as 국 and 회의).
	nouns [][]rune

	spaceable bool // a Hangul segment that matches with a space in it as well
}

// Parse analyses a query.
func Parse(query string) *Query {
	q := &Query{}
	for _, quoted := range phrasesOf(query) {
		var p phrase
		for _, w := range quoted {
			if segments := parseWord(w); len(segments) > 0 {
				p = append(p, segments)
			}
		}
		if len(p) > 0 {
			q.phrases = append(q.phrases, p)
		}
	}
	return q
}

func parseWord(s string) word {
	t := normalise(s)
	numbers := t.numbers()
	var w word
	for r := range t.runs() {
		if len(numbers) > 0 && r.start >= numbers[0].start {
			n := &numbers[0]
			if last := len(w) - 1; r.start > n.start {
				w[last].groups = append(w[last].groups, t.segment(r))
			} else {
				w = append(w, segment{class: spaced, runes: n.runes, stem: stemOf(n.runes), groups: []segment{t.segment(r)}})
			}
			if r.end == n.end {
				numbers = numbers[1:]
			}
			continue
		}
		w = append(w, t.segment(r))
	}
	if len(w) == 1 {
		w[0].leads = w[0].class == letters && len(w[0].runes) >= minLeads && !slices.ContainsFunc(w[0].runes, func(r rune) bool { return !slices.Contains(leads, r) })
	}
	return w
}

func (t *text) segment(r run) segment {
	s := segment{class: r.class, runes: t.runes[r.start:r.end]}
	switch r.class {
	case hangul:
		s.ways, s.nouns, s.spaceable = ways(s.runes)
	case spaced:
		s.stem = stemOf(s.runes)
	}
	return s
}

// ways are the sequences of morphemes by which a word may be found, its nouns, and
// whether it may be two words that are written as one (때에한하여).
func ways(word []rune) (ways [][]morpheme, nouns [][]rune, spaceable bool) {
	all := morphemes(word)
	// A fragment that begins with a particle or an ending is no word: 의록, the end
	// of 회의록, must not find every 록.
	if len(all) > 0 && all[0].start == 0 {
		required := slices.DeleteFunc(slices.Clone(all), func(m morpheme) bool { return m.helper })
		if len(required) == 0 {
			required = all
		}
		ways = append(ways, required)
		ways = append(ways, otherReadings(required)...)
	}
	// 오다 (to come) is a noun to the dictionary as well, and 깨지다 a form of 깨어지다.
	if n := len(word) - 1; n > 0 && n <= maxTerm && word[n] == '다' {
		last := len(all) - 1
		if last < 0 || all[last].end > n && all[last].tag == tagNoun || all[last].tag == tagVerb && all[last].start == 0 && all[last].word != string(word[:n]) {
			ways = append(ways, []morpheme{{tag: tagVerb, word: string(word[:n])}})
		}
	}
	nouns = nounsOf(word, all)
	return ways, nouns, isSpaceable(len(word), all, nouns)
}

// isSpaceable reports whether a word is to be looked for with a space in it. That costs
// as much again, so not where its few nouns say where the space would be.
func isSpaceable(syllables int, content []morpheme, nouns [][]rune) bool {
	words := 0
	for _, m := range content {
		if !m.helper {
			words++
		}
	}
	uncertain := len(nouns) == 0 && words > 1 || len(nouns) >= manyNouns
	return uncertain && syllables >= minSpaceable && syllables <= maxSpaceable
}

// otherReadings are those of a verb that the dictionary takes apart, or not, as its
// ending comes: 깨지다 as one and 깨져요 as two, 잊다 and 잊어버리다.
func otherReadings(way []morpheme) (ways [][]morpheme) {
	last := way[len(way)-1]
	if last.tag != tagVerb {
		return nil
	}
	with := func(words ...string) {
		other := slices.Clone(way[:len(way)-1])
		for _, w := range words {
			other = append(other, morpheme{tag: tagVerb, word: w})
		}
		ways = append(ways, other)
	}
	if stem, ok := strings.CutSuffix(last.word, "지"); ok && stem != "" {
		with(stem, "지")
	}
	for _, end := range []string{"어버리", "아버리"} {
		if long := last.word + end; hasEntry(lexicon.Korean(), []rune(long)) {
			with(long)
		}
	}
	return ways
}

// nounsOf are the nouns that a word begins with, if no other content follows, and
// they are more than one syllable and not the word itself.
func nounsOf(word []rune, content []morpheme) (nouns [][]rune) {
	end := 0
	for _, m := range content {
		if m.tag != tagNoun || m.start != end {
			return nil
		}
		nouns = append(nouns, word[m.start:m.end])
		end = m.end
	}
	if end < 2 || end == len(word) && len(nouns) == 1 || len(nouns) > maxMorphemes {
		return nil
	}
	return nouns
}

// Limits on what the index is asked. What they leave out makes it answer with
// more messages than match; [Query.Match] looks at the whole query.
const (
	minSpaceable   = 4 // syllables of a word that is also found with a space in it
	maxSpaceable   = 12
	manyNouns      = 4 // of which some may be misread
	maxSpacedParts = 4 // of it, in each of which the space may be
	maxSpacedPairs = 4 // that are asked for at once

	maxPairs      = 16 // of one segment
	maxMorphemes  = 8  // morphemes of one segment
	maxQueryTerms = 64 // of all words; those behind are not asked for
)

// Words are the query as the index takes it: each segment is a word that must
// match, see [Words].
func (q *Query) Words() []chat.Word {
	var words []chat.Word
	terms := 0
	for _, p := range q.phrases {
		for _, w := range p {
			for i := range w {
				asked := chat.Word{Any: w[i].alternatives()}
				for _, alternative := range asked.Any {
					terms += len(alternative)
				}
				if terms > maxQueryTerms && len(words) > 0 {
					return words
				}
				words = append(words, asked)
			}
		}
	}
	return words
}

func (s *segment) alternatives() [][]string {
	if s.class == spaced {
		alternatives := [][]string{{s.prefix()}}
		if s.stem != "" {
			alternatives = append(alternatives, []string{tagged(tagStem, s.stem)})
		}
		if len(s.groups) > 0 {
			var groups []string
			for i := range s.groups[:min(len(s.groups), maxPairs)] {
				groups = append(groups, s.groups[i].prefix())
			}
			alternatives = append(alternatives, groups)
		}
		return alternatives
	}
	alternatives := [][]string{pairs(s.runes)}
	for _, way := range s.ways {
		var analysed, surfaces []string
		for _, m := range way[:min(len(way), maxMorphemes)] {
			analysed = append(analysed, tagged(m.tag, m.word))
			surfaces = append(surfaces, tagged(m.tag, cmp.Or(m.surface, m.word)))
		}
		alternatives = append(alternatives, analysed)
		if !slices.Equal(analysed, surfaces) {
			alternatives = append(alternatives, surfaces)
		}
	}
	if len(s.nouns) > 0 {
		var all []string
		for _, noun := range s.nouns {
			all = append(all, pairs(noun)...)
		}
		alternatives = append(alternatives, all[:min(len(all), maxPairs)])
	}
	if s.spaceable {
		alternatives = append(alternatives, s.spacedPairs()...)
	}
	if s.leads {
		alternatives = append(alternatives, []string{tagged(tagLeads, string(s.runes[:min(len(s.runes), maxLeads)]))})
	}
	return alternatives
}

// spacedPairs are alternatives of which one holds wherever the space is: each is
// without the pairs of one part of the word.
func (s *segment) spacedPairs() (alternatives [][]string) {
	all := len(s.runes) - 1 // places for a space
	parts := min(all, maxSpacedParts)
	for i := range parts {
		from, to := i*all/parts, (i+1)*all/parts
		terms := append(pairs(s.runes[:from+1]), pairs(s.runes[to:])...)
		alternatives = append(alternatives, terms[:min(len(terms), maxSpacedPairs)])
	}
	return alternatives
}

// prefix is the term of a spaced segment's beginning.
func (s *segment) prefix() string {
	return tagged(tagPrefix, string(s.runes[:min(len(s.runes), maxPrefix)]))
}

// pairs are the pairs of a word's characters, or the only character.
func pairs(word []rune) []string {
	if len(word) == 1 {
		return []string{tagged(tagGram, string(word))}
	}
	var terms []string
	for i := 1; i < len(word) && len(terms) < maxPairs; i++ {
		if pair := tagged(tagGram, string(word[i-1:i+1])); !slices.Contains(terms, pair) {
			terms = append(terms, pair)
		}
	}
	return terms
}

func tagged(tag byte, word string) string { return string(rune(tag)) + word }
