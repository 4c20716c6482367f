package pebble

import (
	"bytes"
	"cmp"
	"slices"

	"knatter.dev/chat"
)

// claim is the row by which an item of a batch claims its (source, id).
type claim struct {
	key  []byte
	item int
	seq  chat.Sequence
}

// claims collects the claims of a batch.
type claims struct {
	all   []claim
	arena arena
}

func (c *claims) add(item int, kind byte, room chat.RoomID, source, id string, seq chat.Sequence) {
	key := c.arena.add(func(dst []byte) []byte { return identityKey(dst, kind, room, source, id) })
	c.all = append(c.all, claim{key: key, item: item, seq: seq})
}

// earliest are the claims with the lowest sequence of each (source, id), in the
// order of their keys, in which they are quickest to look up.
func (c *claims) earliest() []claim {
	slices.SortFunc(c.all, func(a, b claim) int {
		return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(a.seq, b.seq))
	})
	c.all = slices.CompactFunc(c.all, func(a, b claim) bool { return bytes.Equal(a.key, b.key) })
	return c.all
}

// arena holds many small keys in few allocations.
type arena []byte

const arenaBlock = 64 << 10

// add returns what f appends, valid as long as it is referred to.
func (a *arena) add(f func(dst []byte) []byte) []byte {
	if cap(*a)-len(*a) < 512 {
		*a = make([]byte, 0, arenaBlock)
	}
	start := len(*a)
	*a = f(*a)
	return (*a)[start:len(*a):len(*a)]
}
