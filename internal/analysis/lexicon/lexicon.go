// Package lexicon is the Korean dictionary in the form in which it is searched: a
// file that is part of the program. Nothing is read, unpacked or built from it when
// the program starts; the system brings a page of it into memory when a text needs
// it, and can drop it again.
//
// The file is made of the mecab-ko dictionary by the command in generate. It has
// what the analysis of Korean asks for, and only the surfaces in Hangul.
package lexicon

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"iter"
	"sync"
)

//go:generate go run ./generate korean.bin

//go:embed korean.bin
var file []byte

// Korean returns the lexicon of mecab-ko, the only one of the process.
var Korean = sync.OnceValue(func() *Lexicon {
	l, err := Open(file)
	if err != nil {
		panic(fmt.Errorf("the embedded dictionary: %w", err)) // a program that no test has seen
	}
	return l
})

// Lexicon has entries, which are readings of surfaces, and what it costs that
// entries follow each other. It is safe for concurrent use.
type Lexicon struct {
	header header

	// The file's sections: little-endian numbers, one after the other.
	characters []byte // of each rune below 65,536 its Character
	units      []byte // the automaton of surfaces
	entries    []byte // those of surfaces, then those for unknown words
	costs      []byte // int16, by left and right context
	cheapest   []byte // int16, the least of each left context's costs
	unknown    []byte // by category
	shapes     []byte // where in text each Shape begins

	text string // the shapes
}

// Begin is the right context of a text's beginning.
func (l *Lexicon) Begin() uint16 { return l.header.Begin }

// End is the left context of a text's end.
func (l *Lexicon) End() uint16 { return l.header.End }

// Lefts is how many left contexts there are.
func (l *Lexicon) Lefts() int { return len(l.cheapest) / 2 }

// Rights is how many right contexts there are.
func (l *Lexicon) Rights() int { return int(l.header.Rights) }

// Character is what the lexicon knows of a rune: its code in surfaces, 0 if it is
// in none, and its category.
type Character uint16

const categoryBits = 4

// NewCharacter returns the character of a code below 4,095 and a category below 16.
func NewCharacter(code uint16, category uint8) Character {
	return Character(code<<categoryBits | uint16(category))
}

func (c Character) code() uint32    { return uint32(c >> categoryBits) }
func (c Character) category() uint8 { return uint8(c & (1<<categoryBits - 1)) }

// SameCategory reports whether unknown words can have both characters.
func (c Character) SameCategory(o Character) bool { return c.category() == o.category() }

// Character returns what is known of a rune. Those beyond the table are as NUL is.
func (l *Lexicon) Character(r rune) Character {
	i := 2 * int(r)
	if uint(i) >= uint(len(l.characters)) {
		i = 0
	}
	return Character(binary.LittleEndian.Uint16(l.characters[i:]))
}

// State is a place in the automaton of surfaces: what has been read of a surface.
// The zero State is the beginning. The automaton is the smallest one, in which
// surfaces share their ends as well as their beginnings. Surfaces are told apart by
// counting: each step passes over entries, those of the surfaces before.
type State struct {
	base uint32 // where the units of the steps from here are, by code
	id   uint32 // how many entries were passed over
}

// Unit is a step of the automaton, at its base plus its character's code.
type Unit uint64

// NoUnit is at places where no step is. Its code is no character's.
const NoUnit = ^Unit(0)

// A unit's bits from the lowest: whether a surface ends behind the step, the
// character's code, how many entries the step passes over, the base of the steps
// that go on.
const (
	codeShift = 1
	skipShift = codeShift + 12
	baseShift = skipShift + 24

	codeMask = 1<<12 - 1
	skipMask = 1<<24 - 1
)

// NewUnit returns a step to a place whose own steps are at base.
func NewUnit(final bool, c Character, skip, base uint32) Unit {
	u := Unit(c.code())<<codeShift | Unit(skip)<<skipShift | Unit(base)<<baseShift
	if final {
		u |= 1
	}
	return u
}

// Step goes on by a character. If final, a surface ends there, and id is its first
// entry. ok is false when no surface goes on so.
func (l *Lexicon) Step(s State, c Character) (next State, final, ok bool) {
	i := 8 * int(s.base+c.code())
	u := Unit(binary.LittleEndian.Uint64(l.units[i : i+8]))
	next = State{base: uint32(u >> baseShift), id: s.id + uint32(u>>skipShift)&skipMask}
	return next, u&1 != 0, uint32(u>>codeShift)&codeMask == c.code()
}

// Entry returns the number of the first entry of the surface that ends here.
func (s State) Entry() int { return int(s.id) }

// Entry is a reading of a surface.
type Entry uint64

// Traits are what the analysis wants to know of an entry's parts of speech.
type Traits uint8

// The traits.
const (
	Noun      Traits = 1 << iota // content that is no verb, by its first part of speech
	Verb                         // a verb or an adjective, likewise
	Helper                       // content that carries little meaning, likewise
	Suffix                       // makes verbs of nouns
	Continues                    // an ending or an auxiliary verb, which continues a verb
	Grown                        // several parts of speech that have grown together
	Repeated                     // the next entry has the same surface
)

// An entry's bits from the lowest: its cost, its contexts, its traits, its shape.
const (
	leftShift   = 16
	rightShift  = leftShift + contextBits
	traitsShift = rightShift + contextBits
	shapeShift  = traitsShift + 8

	contextBits = 12
	contextMask = 1<<contextBits - 1
)

// NewEntry returns an entry. Contexts are below 4,096 and the shape below 65,536; 0
// is for none.
func NewEntry(left, right uint16, cost int16, t Traits, shape uint16) Entry {
	return Entry(uint16(cost)) | Entry(left)<<leftShift | Entry(right)<<rightShift | Entry(t)<<traitsShift | Entry(shape)<<shapeShift
}

// Left is the entry's context towards what is before it.
func (e Entry) Left() uint16 { return uint16(e>>leftShift) & contextMask }

// Right is the entry's context towards what is behind it.
func (e Entry) Right() uint16 { return uint16(e>>rightShift) & contextMask }

// Cost is the entry's own.
func (e Entry) Cost() int32 { return int32(int16(e)) }

// Traits returns the entry's traits.
func (e Entry) Traits() Traits { return Traits(e >> traitsShift) }

// Split reports whether the dictionary gives the entry's parts, be it that none of them
// is content.
func (e Entry) Split() bool { return e>>shapeShift != 0 }

// Entry returns entry number id.
func (l *Lexicon) Entry(id int) Entry {
	return Entry(binary.LittleEndian.Uint64(l.entries[8*id : 8*id+8]))
}

// Costs are what it costs that a word follows another, for one left context.
type Costs []byte

// Costs returns those of a left context. Contexts whose costs are all the same are
// one.
func (l *Lexicon) Costs(left uint16) Costs {
	row := 2 * int(l.header.Rights)
	return l.costs[int(left)*row:][:row]
}

// After is the cost of following a word with this right context.
func (c Costs) After(right uint16) int32 {
	i := 2 * int(right)
	return int32(int16(binary.LittleEndian.Uint16(c[i : i+2])))
}

// Cheapest is the least of a left context's costs.
func (l *Lexicon) Cheapest(left uint16) int32 { return Costs(l.cheapest).After(left) }

// Unknown tells how words that are not in the dictionary are read, where they begin
// with a character of one category.
type Unknown struct {
	From, To uint32 // entries
	Always   bool   // also where the dictionary has words
	Group    bool   // as long as the category is the same; else one character
}

const unknownSize = 10 // in the file

// Unknown returns how unknown words are read that begin with a character.
func (l *Lexicon) Unknown(c Character) Unknown {
	b := l.unknown[unknownSize*int(c.category()):][:unknownSize]
	return Unknown{
		From: binary.LittleEndian.Uint32(b), To: binary.LittleEndian.Uint32(b[4:]), Always: b[8] != 0, Group: b[9] != 0,
	}
}

// Shape is how surfaces fall into content parts: a byte that says how many there
// are and whether they are the whole surface; and each of them, see [Part].
type Shape string

// Shape returns the shape of an entry that is split.
func (l *Lexicon) Shape(e Entry) Shape {
	return Shape(l.text[binary.LittleEndian.Uint32(l.shapes[4*(e>>shapeShift):]):])
}

// Apart reports whether the parts lie one after the other in the surface and are all
// of it. Else they have grown together.
func (s Shape) Apart() bool { return s[0]&1 != 0 }

// Len is how many parts there are.
func (s Shape) Len() int { return int(s[0] >> 1) }

// Parts returns the traits (Noun or Verb) and the words of an entry's parts.
func (s Shape) Parts(surface string) iter.Seq2[Traits, string] {
	return func(yield func(Traits, string) bool) {
		rest := string(s[1:])
		for range s.Len() {
			p := Part(rest[0])
			rest = rest[1:]
			var word string
			if p.Spelled() {
				word, rest = rest[:p.Len()], rest[p.Len():]
			} else {
				word, surface = surface[:p.Len()], surface[p.Len():]
			}
			if !yield(p.Traits(), word) {
				return
			}
		}
	}
}

// Part is a byte that describes a content part of a surface: whether it is a verb,
// and the length of its word, which either is the next of the surface or is spelled
// out behind.
type Part uint8

// MaxPart is the length in bytes that a part's word may have.
const MaxPart = 1<<6 - 1

const (
	verbPart    Part = 1 << 6
	spelledPart Part = 1 << 7
)

// NewPart returns the part of a word of at most [MaxPart] bytes.
func NewPart(verb, spelled bool, length int) Part {
	p := Part(length)
	if verb {
		p |= verbPart
	}
	if spelled {
		p |= spelledPart
	}
	return p
}

// Len is the length of the word in bytes.
func (p Part) Len() int { return int(p & MaxPart) }

// Spelled reports whether the word is spelled out.
func (p Part) Spelled() bool { return p&spelledPart != 0 }

// Traits are either Verb or Noun.
func (p Part) Traits() Traits {
	if p&verbPart != 0 {
		return Verb
	}
	return Noun
}
