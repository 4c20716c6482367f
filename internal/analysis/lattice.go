package analysis

import (
	"slices"
	"unicode/utf8"

	"knatter.dev/chat/internal/analysis/lexicon"
)

// maxLattice bounds the runes that are analysed at once; no Korean word is that
// long. Pairs of syllables are not affected by the borders between.
const maxLattice = 64

// lattice finds the cheapest way to read a word as a sequence of entries: the
// path that has the smallest sum of the entries' own costs and of those that
// they follow each other. Of equal paths it takes the one that kagome takes. Its
// memory is used again for the next word.
type lattice struct {
	text       string // of which tokens are parts
	offsets    [maxLattice + 1]int32
	characters [maxLattice]lexicon.Character
	nodes      []node
	tokens     []token

	// The nodes that end at a rune, as a list: the first and the last of them, 0
	// for none.
	heads, tails [maxLattice + 1]int32

	// What is known at the rune that the search is at, by context: valid where the
	// stamp is the present one.
	stamp  uint32
	before []int32 // nodes that end here: of each right context the cheapest; by cost
	rights []stamped
	lefts  []stamped
}

// node is an entry at a place, with the cheapest way from the beginning to its
// end.
type node struct {
	cost  int32
	prev  int32 // the node before it on that way
	next  int32 // the next node that ends at the same rune
	id    int32
	right uint16
	start uint8
}

// stamped is what is known of a context: for a right context, where in before it
// is; for a left one, the cheapest way that a word can follow.
type stamped struct {
	stamp uint32
	node  int32
	cost  int32
}

// token is an entry of the lexicon at a place in the text.
type token struct {
	id         int
	start, end int // runes
	surface    string
}

// analyse sets the tokens of a word of at most maxLattice runes.
func (l *lattice) analyse(lex *lexicon.Lexicon, word []rune) {
	l.reset(lex, word)
	for start := range word {
		if l.heads[start] == 0 {
			continue // no way leads here
		}
		l.enter(start)
		known := l.known(lex, start, len(word))
		first := l.characters[start]
		unknown := lex.Unknown(first)
		if known && !unknown.Always {
			continue
		}
		end := start + 1
		for unknown.Group && end < len(word) && l.characters[end].SameCategory(first) {
			end++
		}
		for id := unknown.From; id < unknown.To; id++ {
			if end-1 > start {
				l.add(lex, int(id), start, end-1)
			}
			l.add(lex, int(id), start, end)
		}
	}
	l.enter(len(word))
	l.trace(l.follow(lex, lex.End()).node, len(word))
}

func (l *lattice) reset(lex *lexicon.Lexicon, word []rune) {
	if l.lefts == nil {
		l.lefts = make([]stamped, lex.Lefts())
		l.rights = make([]stamped, lex.Rights())
	}
	var buf [maxLattice * utf8.UTFMax]byte
	text := buf[:0]
	for i, r := range word {
		l.offsets[i] = int32(len(text))
		text = utf8.AppendRune(text, r)
		l.characters[i] = lex.Character(r)
	}
	l.offsets[len(word)] = int32(len(text))
	l.text = string(text)
	clear(l.heads[:len(word)+1])
	// The first node is none, the second the beginning.
	l.nodes = append(l.nodes[:0], node{}, node{right: lex.Begin()})
	l.heads[0], l.tails[0] = 1, 1
}

// known adds the entries that begin at a rune; false when there are none.
func (l *lattice) known(lex *lexicon.Lexicon, start, end int) bool {
	some := false
	var state lexicon.State
	for i := start; i < end; i++ {
		next, final, ok := lex.Step(state, l.characters[i])
		if !ok {
			break
		}
		state = next
		if !final {
			continue
		}
		some = true
		id := state.Entry()
		for l.add(lex, id, start, i+1).Traits()&lexicon.Repeated != 0 {
			id++
		}
	}
	return some
}

// enter makes a rune the place where entries are added. Of the nodes that end
// here only the cheapest of each right context can be on the cheapest way, of
// equal ones the first.
func (l *lattice) enter(at int) {
	if l.stamp++; l.stamp == 0 { // after four billion runes
		clear(l.lefts)
		clear(l.rights)
		l.stamp = 1
	}
	l.before = l.before[:0]
	for i := l.heads[at]; i != 0; i = l.nodes[i].next {
		n := &l.nodes[i]
		same := &l.rights[n.right]
		if same.stamp != l.stamp {
			*same = stamped{stamp: l.stamp, node: int32(len(l.before))}
			l.before = append(l.before, i)
		} else if n.cost < l.nodes[l.before[same.node]].cost {
			l.before[same.node] = i
		}
	}
	// There are few, and sorted they need not all be tried.
	for i := 1; i < len(l.before); i++ {
		n := l.before[i]
		k := i
		for ; k > 0 && l.nodes[l.before[k-1]].cost > l.nodes[n].cost; k-- {
			l.before[k] = l.before[k-1]
		}
		l.before[k] = n
	}
}

// follow is the cheapest way to a word with this left context that begins where
// the search is; of equal ones the one whose last node is the first.
func (l *lattice) follow(lex *lexicon.Lexicon, left uint16) *stamped {
	way := &l.lefts[left]
	if way.stamp == l.stamp {
		return way
	}
	costs, cheapest := lex.Costs(left), lex.Cheapest(left)
	way.stamp, way.node = l.stamp, 0
	for _, i := range l.before {
		n := &l.nodes[i]
		if way.node != 0 && n.cost+cheapest > way.cost {
			break // nor will those behind be cheaper
		}
		cost := n.cost + costs.After(n.right)
		if way.node == 0 || cost < way.cost || cost == way.cost && i < way.node {
			way.node, way.cost = i, cost
		}
	}
	return way
}

// add adds an entry, and returns it.
func (l *lattice) add(lex *lexicon.Lexicon, id, start, end int) lexicon.Entry {
	e := lex.Entry(id)
	way := l.follow(lex, e.Left())
	i := int32(len(l.nodes))
	l.nodes = append(l.nodes, node{
		cost: way.cost + e.Cost(), prev: way.node,
		id: int32(id), right: e.Right(), start: uint8(start),
	})
	if l.heads[end] == 0 {
		l.heads[end] = i
	} else {
		l.nodes[l.tails[end]].next = i
	}
	l.tails[end] = i
	return e
}

// trace sets the tokens on the way that ends with a node.
func (l *lattice) trace(last int32, end int) {
	l.tokens = l.tokens[:0]
	for i := last; i != 1; i = l.nodes[i].prev {
		n := &l.nodes[i]
		start := int(n.start)
		l.tokens = append(l.tokens, token{int(n.id), start, end, l.text[l.offsets[start]:l.offsets[end]]})
		end = start
	}
	slices.Reverse(l.tokens)
}
