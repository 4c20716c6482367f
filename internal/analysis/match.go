package analysis

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// span is a stretch of a text, in runes.
type span struct{ start, end int }

// Match reads a message: it returns the parts that match the query, as
// [Highlights] does, and whether all of it matches.
func (q *Query) Match(message string) (highlights [][2]int, all bool) {
	t := normalise(message)
	m := newMatcher(t)
	all = len(q.phrases) > 0
	var spans []span
	for _, words := range q.phrases {
		found := m.phrase(words)
		all = all && len(found) > 0
		spans = append(spans, found...)
	}
	return t.ranges(spans), all
}

// matcher finds words in one text.
type matcher struct {
	*text
	runs     []run
	spaced   []spacedWord
	content  []morpheme // of all runs of Hangul
	analysed bool
}

// spacedWord is a word of a script with spaces, or a number in groups.
type spacedWord struct {
	start, end int
	runes      []rune
}

func newMatcher(t *text) *matcher {
	m := &matcher{text: t, runs: slices.Collect(t.runs())}
	for _, r := range m.runs {
		if r.class == spaced {
			m.spaced = append(m.spaced, spacedWord{r.start, r.end, t.runes[r.start:r.end]})
		}
	}
	for _, n := range t.numbers() {
		for _, ending := range n.endings() {
			m.spaced = append(m.spaced, spacedWord{ending.start, ending.end, ending.runes})
		}
	}
	return m
}

// word finds a query's word: its segments one after the other, with nothing
// searchable between.
func (m *matcher) word(segments word) []span {
	found := m.segment(&segments[0])
	for i := range segments[1:] {
		starts := make(map[int]int, len(found)) // where a segment may go on → where the word starts
		for _, s := range found {
			next := m.skip(s.end)
			if start, ok := starts[next]; !ok || s.start < start {
				starts[next] = s.start
			}
		}
		var longer []span
		for _, s := range m.segment(&segments[1+i]) {
			if start, ok := starts[s.start]; ok {
				longer = append(longer, span{start, s.end})
			}
		}
		found = longer
	}
	return found
}

func (m *matcher) segment(s *segment) []span {
	if s.class == spaced {
		return m.spacedWords(s)
	}
	var found []span
	// All characters of a segment are of one class, so what equals it lies in one
	// run of the text.
	for i := 0; i+len(s.runes) <= len(m.runes); i++ {
		if slices.Equal(m.runes[i:i+len(s.runes)], s.runes) {
			found = append(found, span{i, i + len(s.runes)})
		}
	}
	for _, way := range s.ways {
		found = append(found, m.sequence(way)...)
	}
	if len(s.nouns) > 0 {
		found = append(found, m.nouns(s.nouns)...)
	}
	if s.spaceable {
		found = append(found, m.withSpace(s.runes)...)
	}
	if s.leads {
		found = append(found, m.leads(s.runes)...)
	}
	return found
}

// nouns finds nouns as they stand, one after the other.
func (m *matcher) nouns(nouns [][]rune) (found []span) {
	for start := range m.runes {
		end, ok := start, true
		for _, noun := range nouns {
			if end > start {
				end = m.skip(end)
			}
			if ok = len(m.runes)-end >= len(noun) && slices.Equal(m.runes[end:end+len(noun)], noun); !ok {
				break
			}
			end += len(noun)
		}
		if ok {
			found = append(found, span{start, end})
		}
	}
	return found
}

// withSpace finds a word as it stands with a space in one place.
func (m *matcher) withSpace(word []rune) (found []span) {
	for start := range m.runes {
		end, spaces := start, 0
		for i, r := range word {
			if next := m.skip(end); i > 0 && next > end {
				end = next
				spaces++
			}
			if spaces > 1 || end == len(m.runes) || m.runes[end] != r {
				end = start
				break
			}
			end++
		}
		if end > start {
			found = append(found, span{start, end})
		}
	}
	return found
}

func (m *matcher) spacedWords(s *segment) (found []span) {
	n := len(s.runes)
	for i := range m.spaced {
		w := &m.spaced[i]
		switch {
		case (n >= minPrefix || n == len(w.runes)) && n <= len(w.runes) && slices.Equal(w.runes[:n], s.runes):
			found = append(found, span{w.start, m.after(w.start, n)})
		case s.stem != "" && stemOf(w.runes) == s.stem:
			found = append(found, span{w.start, w.end})
		}
	}
	if len(s.groups) > 0 {
		found = append(found, m.word(s.groups)...)
	}
	return found
}

// after is the place behind n letters or digits.
func (m *matcher) after(i, n int) int {
	for n > 0 {
		if m.classes[i] != separator {
			n--
		}
		i++
	}
	return i
}

// leads finds words, and parts of compounds, whose syllables begin with these
// consonants.
func (m *matcher) leads(consonants []rune) (found []span) {
	at := func(start, end int) {
		n := len(consonants)
		if start+n > end {
			return
		}
		for i, r := range m.runes[start : start+n] {
			if !isSyllable(r) || lead(r) != consonants[i] {
				return
			}
		}
		found = append(found, span{start, start + n})
	}
	m.analyse()
	content := m.content
	for _, r := range m.runs {
		if r.class != hangul {
			continue
		}
		at(r.start, r.end)
		for ; len(content) > 0 && content[0].start < r.end; content = content[1:] {
			if c := &content[0]; c.start > r.start && c.beginsWord() {
				at(c.start, r.end)
			}
		}
	}
	return found
}

// analyse finds the morphemes of the text.
func (m *matcher) analyse() {
	if m.analysed {
		return
	}
	m.analysed = true
	a := analysers.Get().(*analyser)
	defer analysers.Put(a)
	for _, r := range m.runs {
		if r.class == hangul {
			m.content = a.lattice.morphemes(m.content, m.runes[r.start:r.end], r.start)
		}
	}
}

// sequence finds morphemes that follow each other. Between may be particles,
// endings and helpers, but no other content; nothing at all between the parts of
// a compound.
func (m *matcher) sequence(way []morpheme) []span {
	m.analyse()
	var found []span
	for i := range m.content {
		if end, ok := m.sequenceAt(way, i); ok {
			found = append(found, span{m.content[i].start, end})
		}
	}
	return found
}

func (m *matcher) sequenceAt(way []morpheme, i int) (end int, ok bool) {
	for k := range way {
		for k > 0 && i < len(m.content) && m.content[i].helper && !m.content[i].same(&way[k]) {
			i++
		}
		if i == len(m.content) || !m.content[i].same(&way[k]) {
			return 0, false
		}
		c := &m.content[i]
		if k > 0 && c.start > end {
			between := m.classes[end:c.start]
			if slices.ContainsFunc(between, func(c class) bool { return c != separator && (way[k].joined || c != hangul) }) {
				return 0, false
			}
		}
		end = max(end, c.end)
		i++
	}
	return end, true
}

// ranges are the spans in UTF-16 code units of the source, ascending and merged.
func (t *text) ranges(spans []span) [][2]int {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	var ranges [][2]int
	var at, units int // a byte of the source, and the code units before it
	forward := func(to int) int {
		for at < to {
			r, size := utf8.DecodeRuneInString(t.source[at:])
			at += size
			units++
			if r > 0xffff {
				units++
			}
		}
		return units
	}
	for i := 0; i < len(spans); {
		// Runes of one origin have the same bytes, so the comparison is in bytes.
		from, to := t.from[spans[i].start], t.to[spans[i].end-1]
		for i++; i < len(spans) && t.from[spans[i].start] <= to; i++ {
			to = max(to, t.to[spans[i].end-1])
		}
		ranges = append(ranges, [2]int{forward(int(from)), forward(int(to))})
	}
	return ranges
}
