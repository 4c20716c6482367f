package lexicon

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"
)

// small has the surfaces a, ab and bb. The entries of a are 0 and 1.
func small(t *testing.T) []byte {
	t.Helper()
	a, b := NewCharacter(1, 2), NewCharacter(2, 3)
	tables := Tables{
		Characters: []Character{'a': a, 'b': b, 'c': NewCharacter(0, 3)},
		Units: slices.Concat([]Unit{
			NoUnit, NewUnit(true, a, 0, 1), NewUnit(false, b, 3, 2), NewUnit(true, b, 2, 5), NewUnit(true, b, 0, 5),
		}, slices.Repeat([]Unit{NoUnit}, 10)),
		Entries: []Entry{
			NewEntry(1, 2, -32768, Noun|Repeated, 0),
			NewEntry(4095, 4095, 32767, Verb|Grown, 65535),
			NewEntry(0, 1, -1, 0, 1),
			NewEntry(0, 0, 0, Suffix, 2),
		},
		Costs:   []int16{3, -4, 5, 6, 7, -32768},
		Rights:  3,
		Begin:   1,
		End:     0,
		Unknown: []Unknown{{}, {}, {From: 3, To: 4, Always: true}, {From: 1, To: 3, Group: true}},
		Shapes: [][]byte{
			nil,
			{2<<1 | 1, byte(NewPart(false, false, 1)), byte(NewPart(true, false, 1))},
			{1 << 1, byte(NewPart(true, true, 2)), 'x', 'y'},
		},
	}
	file, err := tables.File()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLexicon(t *testing.T) {
	l, err := Open(small(t))
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]int{"a": 0, "ab": 2, "bb": 3, "": -1, "b": -1, "aa": -1, "ba": -1, "abb": -1, "c": -1, "ac": -1, "가": -1} {
		got := -1
		var state State
		for _, r := range s {
			next, final, ok := l.Step(state, l.Character(r))
			state, got = next, -1
			if !ok {
				break
			}
			if final {
				got = state.Entry()
			}
		}
		if got != want {
			t.Errorf("%q is entry %d, want %d", s, got, want)
		}
	}
	if !l.Character('b').SameCategory(l.Character('c')) || l.Character('a').SameCategory(l.Character('b')) {
		t.Error("categories")
	}
	if l.Character('가') != l.Character(0) || l.Character(0x10ffff) != l.Character(0) {
		t.Error("characters beyond the table")
	}
	for id, want := range []struct {
		left, right uint16
		cost        int32
		traits      Traits
		split       bool
	}{{1, 2, -32768, Noun | Repeated, false}, {4095, 4095, 32767, Verb | Grown, true}, {0, 1, -1, 0, true}} {
		e := l.Entry(id)
		if e.Left() != want.left || e.Right() != want.right || e.Cost() != want.cost || e.Traits() != want.traits || e.Split() != want.split {
			t.Errorf("entry %d: %x", id, uint64(e))
		}
	}
	if l.Lefts() != 2 || l.Rights() != 3 || l.Begin() != 1 || l.End() != 0 {
		t.Errorf("contexts: %d, %d, %d, %d", l.Lefts(), l.Rights(), l.Begin(), l.End())
	}
	if l.Costs(0).After(1) != -4 || l.Costs(1).After(2) != -32768 || l.Cheapest(0) != -4 || l.Cheapest(1) != -32768 {
		t.Error("costs")
	}
	if u := l.Unknown(l.Character('a')); u != (Unknown{From: 3, To: 4, Always: true}) {
		t.Errorf("unknown words: %+v", u)
	}
	if u := l.Unknown(l.Character('c')); u != (Unknown{From: 1, To: 3, Group: true}) {
		t.Errorf("unknown words: %+v", u)
	}
}

func TestShapes(t *testing.T) {
	l, err := Open(small(t))
	if err != nil {
		t.Fatal(err)
	}
	type part struct {
		traits Traits
		word   string
	}
	parts := func(id int, surface string) (list []part, apart bool) {
		shape := l.Shape(l.Entry(id))
		for traits, word := range shape.Parts(surface) {
			list = append(list, part{traits, word})
		}
		if len(list) != shape.Len() {
			t.Errorf("entry %d: %d parts, not %d", id, len(list), shape.Len())
		}
		return list, shape.Apart()
	}
	if got, apart := parts(2, "ab"); !apart || !slices.Equal(got, []part{{Noun, "a"}, {Verb, "b"}}) {
		t.Errorf("entry 2: %v", got)
	}
	if got, apart := parts(3, "bb"); apart || !slices.Equal(got, []part{{Verb, "xy"}}) {
		t.Errorf("entry 3: %v", got)
	}
}

func TestOpen(t *testing.T) {
	file := small(t)
	for n := range file {
		if _, err := Open(file[:n]); err == nil {
			t.Fatalf("%d of %d bytes are a lexicon", n, len(file))
		}
	}
	for name, other := range map[string][]byte{
		"longer":         append(bytes.Clone(file), 0),
		"another magic":  append([]byte("KNLX"), file[4:]...),
		"another format": slices.Replace(bytes.Clone(file), 4, 5, format+1),
	} {
		if _, err := Open(other); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestKorean: the embedded file is whole.
func TestKorean(t *testing.T) {
	l := Korean()
	if got := sha256.Sum256(file[binary.Size(l.header):]); got != l.header.Content {
		t.Errorf("the content's SHA-256 is %x, the header says %x", got, l.header.Content)
	}
	if n := len(l.entries) / 8; n < 600_000 {
		t.Errorf("%d entries", n)
	}
}
