package analysis

import (
	"strings"
	"unicode"
)

// Numbers are written with and without what groups their digits: 1,000 and 1000,
// 010-1234-5678 and 01012345678. So a number in groups is a word as well, of its
// digits (and the letters that follow, as in 1,000km).

// Bounds of what counts as one number.
const (
	minDashed = 7  // digits, so that 3-4 isn't 34
	maxDigits = 24 // of numbers with dashes, as those of cards and accounts are
)

// number is a number in groups: the digits between start and end.
type number struct {
	start, end int
	groups     []span
	runes      []rune
	dashed     bool // or with other signs that are not of a quantity
}

// numbers are those of the text in groups, one after the other.
func (t *text) numbers() []number {
	if !t.digits {
		return nil
	}
	var found []number
	for i := 0; i < len(t.runes); {
		if !isDigit(t.runes[i]) || i > 0 && t.classes[i-1] == spaced {
			i++
			continue
		}
		groups, closed := t.groupsAt(i)
		if n := t.groupsOfOne(groups, closed); n > 1 {
			found = append(found, t.numberOf(groups[:n]))
			i = groups[n-1].end
		} else {
			i = groups[0].end
		}
	}
	return found
}

// groupsAt are the groups of digits from a place on, with one sign between two of
// them. The last one is closed when no letter follows it.
func (t *text) groupsAt(i int) (groups []span, closed bool) {
	for {
		start := i
		for i < len(t.runes) && isDigit(t.runes[i]) {
			i++
		}
		groups = append(groups, span{start, i})
		if i < len(t.runes) && t.classes[i] == spaced {
			return groups, false
		}
		next := i + 1
		if i < len(t.runes) && t.runes[i] == ')' && next < len(t.runes) && t.runes[next] == ' ' {
			next++ // (02) 123-4567
		}
		if next >= len(t.runes) || !isDigit(t.runes[next]) || t.classes[i] != separator {
			return groups, true
		}
		i = next
	}
}

// groupsOfOne tells how many of the groups are one number.
func (t *text) groupsOfOne(groups []span, closed bool) int {
	between := func(k int) rune { return t.runes[groups[k].end] }
	length := func(k int) int { return groups[k].end - groups[k].start }
	if len(groups) < 2 {
		return 1
	}
	if between(0) == ',' {
		n := 1
		for n < len(groups) && between(n-1) == ',' && length(n) == 3 {
			n++
		}
		if length(0) > 3 || n < len(groups) && between(n-1) == ',' {
			return 1 // 1,2,3 is a list
		}
		return n
	}
	whole := groups
	if !closed { // 5678번 ends with digits, 5678a is another word
		whole = groups[:len(groups)-1]
	}
	n, digits := 0, 0
	for n < len(whole) && (n == 0 || isDash(between(n-1))) {
		digits += length(n)
		n++
	}
	if n > 1 && minDashed <= digits && digits <= maxDigits {
		return n
	}
	if len(whole) >= 3 && t.runes[whole[0].start] == '0' && 2 <= length(0) && length(0) <= 4 && 3 <= length(1) && length(1) <= 4 && length(2) == 4 &&
		isBetweenPhone(between(0)) && isBetweenPhone(between(1)) {
		return 3
	}
	return 1
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

func isDash(r rune) bool { return r == '-' || r == '\u2212' || unicode.Is(unicode.Pd, r) }

func isBetweenPhone(r rune) bool { return isDash(r) || strings.ContainsRune(" .)", r) }

// numberOf joins groups of digits, with the letters that follow the last one.
func (t *text) numberOf(groups []span) number {
	last := &groups[len(groups)-1]
	for last.end < len(t.runes) && t.classes[last.end] == spaced {
		last.end++
	}
	n := number{start: groups[0].start, end: last.end, groups: groups, dashed: t.runes[groups[0].end] != ','}
	for _, g := range groups {
		n.runes = append(n.runes, t.runes[g.start:g.end]...)
	}
	return n
}

// endings are the number itself and what is left of it without the first groups,
// as people leave out the code of an area, if that is still a number in groups.
func (n *number) endings() []number {
	all := []number{*n}
	rest := n.runes
	for k := 1; n.dashed && k < len(n.groups)-1; k++ {
		rest = rest[n.groups[k-1].end-n.groups[k-1].start:]
		if len(rest) < minDashed {
			break
		}
		all = append(all, number{start: n.groups[k].start, end: n.end, groups: n.groups[k:], runes: rest})
	}
	return all
}
