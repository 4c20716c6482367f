package main

import (
	"encoding/binary"
	"slices"

	"github.com/ikawaha/kagome-dict/dict"
)

// contexts are what entries may stand in, and the cost that one follows another.
// Those whose costs are all the same are one here, and those that no entry has are
// left out: the table is a third of the dictionary's.
type contexts struct {
	left, right []uint16 // the number of each of the dictionary's contexts
	costs       []int16  // costs[left*rights+right]
	rights      int
}

// newContexts returns the contexts of some entries, and of texts' beginnings and
// ends, which the dictionary numbers 0.
func newContexts(c dict.ConnectionTable, morphs dict.Morphs) contexts {
	cost := func(left, right int) int16 { return c.Vec[left*int(c.Row)+right] }
	lefts, rights := []int{0}, []int{0}
	for _, m := range morphs {
		lefts = append(lefts, int(m.LeftID))
		rights = append(rights, int(m.RightID))
	}
	slices.Sort(lefts)
	slices.Sort(rights)
	lefts, rights = slices.Compact(lefts), slices.Compact(rights)

	t := contexts{left: make([]uint16, c.Col), right: make([]uint16, c.Row)}
	lefts = merge(t.left, lefts, rights, cost)
	rights = merge(t.right, rights, lefts, func(right, left int) int16 { return cost(left, right) })
	t.rights = len(rights)
	for _, left := range lefts {
		for _, right := range rights {
			t.costs = append(t.costs, cost(left, right))
		}
	}
	return t
}

// merge numbers contexts, those with one number whose costs beside all others are
// the same. It returns the first context of each number.
func merge(numbers []uint16, contexts, others []int, cost func(context, other int) int16) (first []int) {
	seen := make(map[string]uint16, len(contexts))
	var key []byte
	for _, context := range contexts {
		key = key[:0]
		for _, other := range others {
			key = binary.LittleEndian.AppendUint16(key, uint16(cost(context, other)))
		}
		number, ok := seen[string(key)]
		if !ok {
			number = uint16(len(first))
			seen[string(key)] = number
			first = append(first, context)
		}
		numbers[context] = number
	}
	return first
}
