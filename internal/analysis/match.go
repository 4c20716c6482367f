package analysis

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// span is a stretch of a text, in runes.
type span struct{ start, end int }

// Match reads a message: it returns the parts that match words of the query, as
// [Highlights] does, and whether all words match.
func (q *Query) Match(message string) (highlights [][2]int, all bool) {
	t := normalise(message)
	m := matcher{text: t, runs: slices.Collect(t.runs())}
	all = len(q.words) > 0
	var spans []span
	for _, word := range q.words {
		found := m.word(word)
		all = all && len(found) > 0
		spans = append(spans, found...)
	}
	return t.ranges(spans), all
}

// matcher finds words in one text.
type matcher struct {
	*text
	runs     []run
	content  []morpheme // of all runs of Hangul
	analysed bool
}

// word finds a query's word: its segments one after the other, with nothing
// searchable between.
func (m *matcher) word(segments []segment) []span {
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
	var found []span
	if s.class == spaced {
		for _, r := range m.runs {
			if r.class != spaced {
				continue
			}
			word := m.runes[r.start:r.end]
			n := len(s.runes)
			switch {
			case (n >= minPrefix || n == len(word)) && n <= len(word) && slices.Equal(word[:n], s.runes):
				found = append(found, span{r.start, r.start + n})
			case s.stem != "" && stemOf(word) == s.stem:
				found = append(found, span{r.start, r.end})
			}
		}
		return found
	}
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
	return found
}

// sequence finds morphemes that follow each other. Between may be particles,
// endings and helpers, but no other content; nothing at all between the parts of
// a compound.
func (m *matcher) sequence(way []morpheme) []span {
	if !m.analysed {
		m.analysed = true
		a := analysers.Get().(*analyser)
		for _, r := range m.runs {
			if r.class == hangul {
				m.content = a.lattice.morphemes(m.content, m.runes[r.start:r.end], r.start)
			}
		}
		analysers.Put(a)
	}
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
