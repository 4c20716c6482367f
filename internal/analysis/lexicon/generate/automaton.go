package main

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"

	"knatter.dev/chat/internal/analysis/lexicon"
)

// automaton is the smallest one that reads the surfaces and counts their entries.
// The last state is where it begins.
type automaton struct {
	codes  map[rune]uint16
	states []state
	known  map[string]int // states by what they are made of
}

type state struct {
	entries int // of the surface that ends here
	all     int // of those that end here or behind
	steps   []step
}

type step struct {
	r  rune
	to int
}

// newAutomaton takes surfaces that are sorted by the codes of their characters.
func newAutomaton(surfaces []surface, codes map[rune]uint16) *automaton {
	a := &automaton{codes: codes, known: make(map[string]int)}
	a.add(surfaces, 0)
	return a
}

// add returns the state for surfaces whose first bytes, up to from, are the same. It
// is one that is there already if that does the same.
func (a *automaton) add(surfaces []surface, from int) int {
	var s state
	if first := surfaces[0]; len(first.text) == from {
		s.entries = first.to - first.from
		surfaces = surfaces[1:]
	}
	s.all = s.entries
	key := binary.AppendUvarint(nil, uint64(s.entries))
	for len(surfaces) > 0 {
		r, size := utf8.DecodeRuneInString(surfaces[0].text[from:])
		n := slices.IndexFunc(surfaces, func(s surface) bool {
			next, _ := utf8.DecodeRuneInString(s.text[from:])
			return next != r
		})
		if n < 0 {
			n = len(surfaces)
		}
		to := a.add(surfaces[:n], from+size)
		s.steps = append(s.steps, step{r, to})
		s.all += a.states[to].all
		key = binary.AppendUvarint(binary.AppendUvarint(key, uint64(r)), uint64(to))
		surfaces = surfaces[n:]
	}
	number, ok := a.known[string(key)]
	if !ok {
		number = len(a.states)
		a.known[string(key)] = number
		a.states = append(a.states, s)
	}
	return number
}

// units lays out the steps so that each is found at its state's base plus its
// character's code. The unit there tells by the code that it is that step; so no
// two states have the same base.
func (a *automaton) units() []lexicon.Unit {
	// The states with most steps find their places first, but for the beginning, whose
	// base is 0.
	order := make([]int, 0, len(a.states))
	for i, s := range a.states[:len(a.states)-1] {
		if len(s.steps) > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, k int) int { return cmp.Compare(len(a.states[k].steps), len(a.states[i].steps)) })
	bases := make([]int, len(a.states))
	var l layout
	l.put(0, a.codesOf(len(a.states)-1))
	for _, i := range order {
		codes := a.codesOf(i)
		bases[i] = l.find(codes)
		l.put(bases[i], codes)
	}
	// Behind the last unit there is room to look for steps that are not there.
	end := l.end
	units := slices.Repeat([]lexicon.Unit{lexicon.NoUnit}, end+maxCodes+1)
	for i, s := range a.states {
		skip := s.entries
		for _, step := range s.steps {
			next := a.states[step.to]
			base := bases[step.to]
			if len(next.steps) == 0 {
				base = end
			}
			code := a.codes[step.r]
			units[bases[i]+int(code)] = lexicon.NewUnit(
				next.entries > 0, lexicon.NewCharacter(code, 0), uint32(skip), uint32(base))
			skip += next.all
		}
	}
	return units
}

func (a *automaton) codesOf(state int) (codes []int) {
	for _, step := range a.states[state].steps {
		codes = append(codes, int(a.codes[step.r]))
	}
	return codes
}

// layout tells which places and which bases are taken.
type layout struct {
	taken, bases bitSet
	end          int // behind the last place that is taken

	// Where a state with so many steps looks first. What is free further before may
	// fit for those with fewer, which come later.
	from, steps int
}

// window is how far before the last place that was found the next may be. It is the
// file's size against the time that making it takes.
const window = 1 << 18

// find returns a base at which there are places for ascending codes.
func (l *layout) find(codes []int) int {
	if len(codes) != l.steps {
		l.from, l.steps = 0, len(codes)
	}
	first := codes[0]
	for place := max(l.from, first+1); ; place += 64 {
		free := ^(l.taken.from(place) | l.bases.from(place-first)) // of the next 64 places for the first code
		for _, code := range codes[1:] {
			if free == 0 {
				break
			}
			free &^= l.taken.from(place - first + code)
		}
		if free != 0 {
			place += bits.TrailingZeros64(free)
			l.from = max(l.from, place-window)
			return place - first
		}
	}
}

func (l *layout) put(base int, codes []int) {
	l.bases.add(base)
	for _, code := range codes {
		l.taken.add(base + code)
		l.end = max(l.end, base+code+1)
	}
}

// bitSet is a set of small numbers.
type bitSet []uint64

func (s *bitSet) add(n int) {
	if more := n/64 + 1 - len(*s); more > 0 {
		*s = append(*s, make([]uint64, more)...)
	}
	(*s)[n/64] |= 1 << (n % 64)
}

// from tells which of the 64 numbers from n on are in the set, n by the lowest bit.
func (s bitSet) from(n int) (which uint64) {
	if n/64 < len(s) {
		which = s[n/64] >> (n % 64)
	}
	if n/64+1 < len(s) {
		which |= s[n/64+1] << (64 - n%64)
	}
	return which
}
