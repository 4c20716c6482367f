package analysis

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Quotes are what may begin and end a phrase: keyboards of phones make “ and ” of
// what is typed.
const Quotes = "\"“”„‟«»「」『』＂"

// phone is a number of a telephone with spaces in it, which is one word.
var phone = regexp.MustCompile(`\(?\b(0\d{1,3})[-.) ]{1,2}(\d{3,4})[-. ](\d{4})\b`)

// phrasesOf cuts a query into its phrases: the words between two quotes, and each
// other word by itself. A quote begins a phrase only in front of a word, and when
// there is another one behind it.
func phrasesOf(query string) (phrases [][]string) {
	query = phone.ReplaceAllString(query, "$1-$2-$3")
	single := func(s string) {
		for word := range strings.FieldsSeq(s) {
			phrases = append(phrases, []string{word})
		}
	}
	for query != "" {
		start := strings.IndexAny(query, Quotes)
		if start < 0 {
			break
		}
		_, size := utf8.DecodeRuneInString(query[start:])
		inner := query[start+size:]
		end := strings.IndexAny(inner, Quotes)
		if end < 0 {
			break
		}
		if before, _ := utf8.DecodeLastRuneInString(query[:start]); start > 0 && !isSpace(before) {
			single(query[:start+size]) // as in 27"
			query = inner
			continue
		}
		single(query[:start])
		if words := strings.Fields(inner[:end]); len(words) > 0 {
			phrases = append(phrases, words)
		}
		_, size = utf8.DecodeRuneInString(inner[end:])
		query = inner[end+size:]
	}
	single(query)
	return phrases
}

func isSpace(r rune) bool { return strings.TrimSpace(string(r)) == "" }

// link is a word's place in a phrase, and which place of the word before it goes
// on there.
type link struct {
	span
	before int
}

// phrase finds words that follow each other, and returns their places.
func (m *matcher) phrase(words phrase) []span {
	var chains [][]link
	var next map[int]int // where the next word may begin → the place before it
	for k, w := range words {
		var chain []link
		for _, s := range m.word(w) {
			before, ok := next[s.start]
			if ok || chains == nil {
				chain = append(chain, link{s, before})
			}
		}
		chains = append(chains, chain)
		if k == len(words)-1 {
			break
		}
		next = make(map[int]int, len(chain))
		for i, l := range chain {
			next[m.skip(l.end)] = i
			next[m.nextWord(l.span)] = i
		}
	}
	// Back from the last word, through the places that lead to it.
	var found []span
	leads := make(map[int]bool)
	for k := len(chains) - 1; k >= 0; k-- {
		before := make(map[int]bool)
		for i, l := range chains[k] {
			if k == len(chains)-1 || leads[i] {
				found = append(found, l.span)
				before[l.before] = true
			}
		}
		leads = before
	}
	return found
}

// maxEnding bounds what may be left of a word in a phrase.
const maxEnding = 32

// nextWord is where the word behind a place begins, if between are but an ending or
// particles, laughs and signs; else where the place ends.
func (m *matcher) nextWord(s span) int {
	end := s.end
	for end < len(m.classes) && m.classes[end] != separator {
		switch c := m.classes[end]; {
		case c == spaced && m.classes[end-1] != spaced, c == unspaced, end-s.end == maxEnding:
			return s.end
		}
		end++
	}
	m.analyse()
	i, _ := slices.BinarySearchFunc(m.content, s.end, func(c morpheme, at int) int { return cmp.Compare(c.start, at) })
	for ; i < len(m.content) && m.content[i].start < end; i++ {
		if !m.content[i].helper {
			return s.end
		}
	}
	return m.skip(end)
}
