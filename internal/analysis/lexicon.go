package analysis

import (
	"slices"
	"strings"

	"github.com/ikawaha/kagome-dict/dict"
	"github.com/ikawaha/kagome-dict/dict/trie"
)

// lexicon is the dictionary as the lattice reads it: flat arrays and indices,
// without a pointer for each entry. It finds what kagome finds; the tests compare
// the two.
type lexicon struct {
	trie  trie.DoubleArray // surfaces, of which each gives its first entry
	first []int32          // the trie's state after each Hangul syllable, 0 for none

	// entries are those of the dictionary, in the order of their surfaces, and
	// behind them those for unknown words.
	entries []entry

	categories []byte // of characters; those beyond are of the first one's
	unknown    []unknownWords

	// costs[left*rights+right] is what it costs that a word with this left context
	// follows one with this right context. Contexts whose costs are all the same
	// are one here, which makes the table a third of the dictionary's.
	costs      []int16
	cheapest   []int16 // of each left context's costs
	rights     int
	begin, end uint16 // the right context of a text's begin, the left one of its end

	parts partTable
}

// entry is a reading of a surface.
type entry struct {
	left, right uint16
	cost        int16
	traits      traits
}

// traits are what the analysis wants to know of an entry's part of speech.
type traits uint8

const (
	repeated  traits = 1 << iota // the next entry has the same surface
	split                        // the dictionary gives parts, be it that none of them is content
	noun                         // content, by its first part of speech: see contentOf
	verb                         // likewise
	helper                       // likewise
	suffix                       // makes verbs of nouns
	continues                    // an ending or an auxiliary verb, which continues a verb
	grown                        // several parts of speech that have grown together
)

// unknownWords tell how words of a category of characters that are not in the
// dictionary are read.
type unknownWords struct {
	from, to int  // entries
	always   bool // also where the dictionary has words
	group    bool // as long as the category is the same; else one character
}

func newLexicon(d *dict.Dict) *lexicon {
	l := &lexicon{
		trie:       d.Index.Da,
		entries:    make([]entry, 0, len(d.Morphs)+len(d.UnkDict.Morphs)),
		categories: d.CharCategory,
		parts:      newPartTable(d.Contents),
	}
	l.first = make([]int32, lastSyllable-firstSyllable+1)
	for i := range l.first {
		l.first[i] = l.walk(0, string(rune(firstSyllable+i)))
	}
	left, right := l.compact(d.Connection)
	l.begin, l.end = right[0], left[0]
	add := func(m dict.Morph, t traits) {
		l.entries = append(l.entries, entry{left[m.LeftID], right[m.RightID], m.Weight, t})
	}
	for id, m := range d.Morphs {
		t := traitsOf(d.POSTable.NameList[d.POSTable.POSs[id][0]])
		if hasParts(d.Contents[id]) {
			t |= split
		}
		add(m, t)
	}
	for id, more := range d.Index.Dup {
		for i := range more {
			l.entries[id+i].traits |= repeated
		}
	}
	for id, m := range d.UnkDict.Morphs {
		add(m, traitsOf(d.UnkDict.Contents[id][0]))
	}
	for i := range d.InvokeList {
		from := len(d.Morphs) + int(d.UnkDict.Index[int32(i)])
		l.unknown = append(l.unknown, unknownWords{
			from: from, to: from + 1 + int(d.UnkDict.IndexDup[int32(i)]),
			always: d.InvokeList[i], group: d.GroupList[i],
		})
	}
	return l
}

func traitsOf(pos string) traits {
	var t traits
	first, _, several := strings.Cut(pos, "+")
	tag, help := contentOf(first)
	for _, has := range []struct {
		trait traits
		ok    bool
	}{
		{noun, tag == tagNoun},
		{verb, tag == tagVerb},
		{helper, help},
		{suffix, first == "XSV" || first == "XSA"},
		{continues, strings.HasPrefix(pos, "VX") || strings.HasPrefix(pos, "E")},
		{grown, several},
	} {
		if has.ok {
			t |= has.trait
		}
	}
	return t
}

// compact sets the table of costs and returns which context of it each of the
// dictionary's is.
func (l *lexicon) compact(c dict.ConnectionTable) (left, right []uint16) {
	cost := func(right, left int) int16 { return c.Vec[left*int(c.Row)+right] }
	left, lefts := distinct(int(c.Col), int(c.Row), func(i, k int) int16 { return cost(k, i) })
	right, rights := distinct(int(c.Row), int(c.Col), cost)
	l.rights = len(rights)
	l.costs = make([]int16, 0, len(lefts)*len(rights))
	for _, i := range lefts {
		for _, k := range rights {
			l.costs = append(l.costs, cost(k, i))
		}
		l.cheapest = append(l.cheapest, slices.Min(l.costs[len(l.costs)-l.rights:]))
	}
	return left, right
}

// distinct numbers the distinct ones of n vectors: it returns the number of each
// vector, and for each number the first vector.
func distinct(n, size int, at func(i, k int) int16) (numbers []uint16, vectors []int) {
	seen := make(map[string]uint16, n)
	key := make([]byte, 0, 2*size)
	for i := range n {
		key = key[:0]
		for k := range size {
			v := at(i, k)
			key = append(key, byte(v), byte(v>>8))
		}
		number, ok := seen[string(key)]
		if !ok {
			number = uint16(len(vectors))
			seen[string(key)] = number
			vectors = append(vectors, i)
		}
		numbers = append(numbers, number)
	}
	return numbers, vectors
}

// walk is the trie's state after s, 0 if no surface goes on so.
func (l *lexicon) walk(state int32, s string) int32 {
	for i := range len(s) {
		next := int(l.trie[state].Base) + int(s[i])
		if next >= len(l.trie) || l.trie[next].Check != state {
			return 0
		}
		state = int32(next)
	}
	return state
}

// found is the first entry whose surface ends at a state of the trie.
func (l *lexicon) found(state int32) (id int, ok bool) {
	end := int(l.trie[state].Base) // a zero byte ends a surface
	if end >= len(l.trie) || l.trie[end].Check != state || l.trie[end].Base > 0 {
		return 0, false
	}
	return int(-l.trie[end].Base), true
}

func (l *lexicon) category(r rune) byte {
	if int(r) < len(l.categories) {
		return l.categories[r]
	}
	return l.categories[0]
}
