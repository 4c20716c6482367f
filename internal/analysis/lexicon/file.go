package lexicon

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// header begins a file. All numbers in a file are little-endian; none needs to be
// aligned.
type header struct {
	Magic  [4]byte
	Format uint32 // 1

	// Content is the SHA-256 of all behind the header. Tests check it; opening a file
	// does not, since that would read it.
	Content [sha256.Size]byte

	Begin, End, Rights uint16
	_                  uint16
	Sizes              [8]uint32 // of the sections, in their order, in bytes
}

var magic = [4]byte{'k', 'n', 'l', 'x'}

const format = 1

// Open returns the lexicon that a file holds, and reads it in place.
func Open(file []byte) (*Lexicon, error) {
	var l Lexicon
	h := &l.header
	n, err := binary.Decode(file, binary.LittleEndian, h)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the header: %w", err)
	case h.Magic != magic || h.Format != format:
		return nil, fmt.Errorf("not a dictionary of format %d: %q, %d", format, h.Magic, h.Format)
	}
	rest := file[n:]
	var text []byte
	for i, section := range []*[]byte{
		&l.characters, &l.units, &l.entries, &l.costs, &l.cheapest, &l.unknown, &l.shapes, &text,
	} {
		size := int(h.Sizes[i])
		if size > len(rest) {
			return nil, errors.New("the file is cut")
		}
		*section, rest = rest[:size:size], rest[size:]
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%d bytes too many", len(rest))
	}
	l.text = string(text) // 0.1 MB, whose parts become strings
	return &l, nil
}

// Tables are what a file is made of; see [Lexicon].
type Tables struct {
	Characters []Character
	Units      []Unit
	Entries    []Entry
	Costs      []int16 // those of the first left context, those of the second, …
	Rights     int
	Begin, End uint16
	Unknown    []Unknown
	Shapes     [][]byte // the first one is no entry's
}

// File returns the tables as a file.
func (t *Tables) File() ([]byte, error) {
	var cheapest []int16
	for row := range slices.Chunk(t.Costs, t.Rights) {
		cheapest = append(cheapest, slices.Min(row))
	}
	var shapes []uint32
	var text []byte
	for _, shape := range t.Shapes {
		shapes = append(shapes, uint32(len(text)))
		text = append(text, shape...)
	}
	h := header{Magic: magic, Format: format, Begin: t.Begin, End: t.End, Rights: uint16(t.Rights)}
	var content []byte
	for i, section := range []any{
		t.Characters, t.Units, t.Entries, t.Costs, cheapest, t.Unknown, shapes, text,
	} {
		before := len(content)
		var err error
		if content, err = binary.Append(content, binary.LittleEndian, section); err != nil {
			return nil, fmt.Errorf("section %d: %w", i, err)
		}
		if len(content) > math.MaxInt32 { // the units' places are counted in 32 bits
			return nil, errors.New("the file is too long")
		}
		h.Sizes[i] = uint32(len(content) - before)
	}
	h.Content = sha256.Sum256(content)
	file, err := binary.Append(nil, binary.LittleEndian, &h)
	if err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	return append(file, content...), nil
}
