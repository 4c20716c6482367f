package analysis

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"unicode/utf8"
)

// termSet gathers distinct terms in the order of their first appearance: their
// bytes one after the other, so that many terms are few pieces of memory, which
// is used again for the next text.
type termSet struct {
	bytes []byte
	terms []termEnd
	slots []uint16 // a hash table: the number of a term, counted from 1; 0 for none
}

// termEnd is a term of a set: it begins where the one before ends.
type termEnd struct {
	hash uint32
	end  uint32
}

// seed makes the hashes unpredictable to those who write the texts.
var seed = maphash.MakeSeed()

const minSlots = 256 // a power of two

func (s *termSet) reset() {
	s.bytes, s.terms = s.bytes[:0], s.terms[:0]
	if s.slots == nil {
		s.slots = make([]uint16, minSlots)
		return
	}
	s.slots = s.slots[:minSlots]
	clear(s.slots)
}

func (s *termSet) add(tag byte, word []rune) {
	s.bytes = append(s.bytes, tag)
	for _, r := range word {
		s.bytes = utf8.AppendRune(s.bytes, r)
	}
	s.keep()
}

func (s *termSet) addTagged(tag byte, word string) {
	s.bytes = append(append(s.bytes, tag), word...)
	s.keep()
}

func (s *termSet) addGrams(word []rune) {
	for i := range word {
		s.add(tagGram, word[i:i+1])
		if i > 0 {
			s.add(tagGram, word[i-1:i+1])
		}
	}
}

// addLeads adds the consonants that begin the first syllables of a word.
func (s *termSet) addLeads(word []rune) {
	for n := minLeads; n <= maxLeads && n <= len(word) && isSyllable(word[n-1]); n++ {
		s.bytes = append(s.bytes, tagLeads)
		for _, r := range word[:n] {
			if !isSyllable(r) { // a mark
				s.bytes = s.bytes[:s.start(len(s.terms))]
				return
			}
			s.bytes = utf8.AppendRune(s.bytes, lead(r))
		}
		s.keep()
	}
}

// knownTerms are terms to be added again and again, in one piece of memory: of
// each the hash, little-endian, its length in a byte, and the term.
type knownTerms []byte

const knownHeader = 4 + 1

func (s *termSet) known() knownTerms {
	b := make(knownTerms, 0, knownHeader*len(s.terms)+len(s.bytes))
	for i, term := range s.terms {
		text := s.bytes[s.start(i):term.end]
		b = binary.LittleEndian.AppendUint32(b, term.hash)
		b = append(b, byte(len(text))) // 129 at most
		b = append(b, text...)
	}
	return b
}

func (s *termSet) addKnown(terms knownTerms) {
	for len(terms) >= knownHeader {
		hash := binary.LittleEndian.Uint32(terms)
		end := knownHeader + int(terms[4])
		if term := terms[knownHeader:end]; s.place(hash, term) {
			s.bytes = append(s.bytes, term...)
		}
		terms = terms[end:]
	}
}

// keep makes a term of the bytes behind the last one, unless it is there.
func (s *termSet) keep() {
	start := s.start(len(s.terms))
	term := s.bytes[start:]
	s.bytes = s.bytes[:start]
	if s.place(uint32(maphash.Bytes(seed, term)), term) {
		s.bytes = s.bytes[:int(start)+len(term)]
	}
}

// place makes place for a term, unless it is there or there are too many: its
// bytes come next.
func (s *termSet) place(hash uint32, term []byte) bool {
	mask := uint32(len(s.slots) - 1)
	slot := hash & mask
	for ; s.slots[slot] != 0; slot = (slot + 1) & mask {
		i := int(s.slots[slot]) - 1
		if s.terms[i].hash == hash && bytes.Equal(s.bytes[s.start(i):s.terms[i].end], term) {
			return false
		}
	}
	if len(s.terms) == maxTerms {
		return false
	}
	s.terms = append(s.terms, termEnd{hash, uint32(len(s.bytes) + len(term))})
	s.slots[slot] = uint16(len(s.terms))
	if 2*len(s.terms) > len(s.slots) {
		s.grow()
	}
	return true
}

func (s *termSet) grow() {
	n := 2 * len(s.slots)
	if n <= cap(s.slots) {
		s.slots = s.slots[:n]
		clear(s.slots)
	} else {
		s.slots = make([]uint16, n)
	}
	mask := uint32(n - 1)
	for i, term := range s.terms {
		slot := term.hash & mask
		for s.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		s.slots[slot] = uint16(i + 1)
	}
}

func (s *termSet) start(i int) uint32 {
	if i == 0 {
		return 0
	}
	return s.terms[i-1].end
}

// strings are the terms, all parts of one string; nil for none.
func (s *termSet) strings() []string {
	if len(s.terms) == 0 {
		return nil
	}
	text := string(s.bytes)
	terms := make([]string, len(s.terms))
	start := uint32(0)
	for i, term := range s.terms {
		terms[i] = text[start:term.end]
		start = term.end
	}
	return terms
}
