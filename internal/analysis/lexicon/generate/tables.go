package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ikawaha/kagome-dict/dict"

	"knatter.dev/chat/internal/analysis/lexicon"
)

// Bounds by the widths in the file.
const (
	maxCodes    = 1<<12 - 2
	maxContexts = 1 << 12
	maxShapes   = 1 << 16
	maxUnits    = 1 << 24
)

// generate returns the file for a dictionary.
func generate(d *dict.Dict) ([]byte, error) {
	surfaces := surfacesOf(d.Index)
	codes := codesOf(surfaces)
	if len(codes) > maxCodes {
		return nil, fmt.Errorf("%d characters", len(codes))
	}
	t := &lexicon.Tables{}
	for r, category := range d.CharCategory {
		t.Characters = append(t.Characters, lexicon.NewCharacter(codes[rune(r)], category))
	}
	sortByCodes(surfaces, codes)
	if t.Units = newAutomaton(surfaces, codes).units(); len(t.Units) > maxUnits {
		return nil, fmt.Errorf("%d units", len(t.Units))
	}

	e, err := newEntries(d, surfaces)
	if err != nil {
		return nil, err
	}
	for _, s := range surfaces {
		for id := s.from; id < s.to; id++ {
			if err := e.add(s.text, id, id+1 < s.to); err != nil {
				return nil, fmt.Errorf("%s: %w", s.text, err)
			}
		}
	}
	behind := len(e.list)
	for id := range d.UnkDict.Morphs {
		e.addUnknown(id)
	}
	for i := range d.InvokeList {
		from := behind + int(d.UnkDict.Index[int32(i)])
		t.Unknown = append(t.Unknown, lexicon.Unknown{
			From: uint32(from), To: uint32(from + 1 + int(d.UnkDict.IndexDup[int32(i)])),
			Always: d.InvokeList[i], Group: d.GroupList[i],
		})
	}
	t.Entries, t.Shapes = e.list, e.shapes
	t.Costs, t.Rights = e.contexts.costs, e.contexts.rights
	t.Begin, t.End = e.contexts.right[0], e.contexts.left[0]
	return t.File()
}

// surface has the dictionary's entries from up to, without, to.
type surface struct {
	text     string
	from, to int
}

// surfacesOf returns the surfaces that runs of Hangul can have: those of other
// characters the analysis never looks up.
func surfacesOf(index dict.IndexTable) (surfaces []surface) {
	trie := index.Da
	var walk func(state int, text []byte)
	walk = func(state int, text []byte) {
		for b := range 256 {
			next := int(trie[state].Base) + b
			switch {
			case next < 0 || next >= len(trie) || int(trie[next].Check) != state:
			case b != 0:
				walk(next, append(text, byte(b)))
			case hangul(string(text)): // a zero byte ends a surface
				from := int(-trie[next].Base)
				surfaces = append(surfaces, surface{string(text), from, from + 1 + int(index.Dup[int32(from)])})
			}
		}
	}
	walk(0, nil)
	return surfaces
}

// hangul reports whether the analysis may find s in a run of Hangul, to which marks
// belong as well.
func hangul(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.Is(unicode.Hangul, r) && !unicode.IsMark(r) })
}

// codesOf numbers the surfaces' characters from 1, those first that many surfaces
// have: the automaton's units then are close together.
func codesOf(surfaces []surface) map[rune]uint16 {
	counts := make(map[rune]int)
	for _, s := range surfaces {
		for _, r := range s.text {
			counts[r]++
		}
	}
	codes := make(map[rune]uint16, len(counts))
	byCount := slices.SortedFunc(maps.Keys(counts), func(a, b rune) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, r := range byCount {
		codes[r] = uint16(i + 1)
	}
	return codes
}

func sortByCodes(surfaces []surface, codes map[rune]uint16) {
	slices.SortFunc(surfaces, func(a, b surface) int {
		s, t := a.text, b.text
		for s != "" && t != "" {
			r, n := utf8.DecodeRuneInString(s)
			q, m := utf8.DecodeRuneInString(t)
			if r != q {
				return cmp.Compare(codes[r], codes[q])
			}
			s, t = s[n:], t[m:]
		}
		return cmp.Compare(len(s), len(t))
	})
}
