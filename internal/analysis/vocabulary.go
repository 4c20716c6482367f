package analysis

import (
	"slices"
	"sync/atomic"
)

const (
	vocabularyWords = 1 << 15
	bucketWords     = 4
	maxVocabulary   = 12
)

// vocabulary remembers the terms of the words that are written again and again.
// It is exact, as the terms of a run of characters depend on nothing but it. It
// is bounded: vocabularyWords words of at most maxVocabulary characters, which
// are 8 MB of usual words and 11 MB of long ones. Of the words that share a bucket one
// that was not read for a while makes room. It is safe for concurrent use,
// without locks.
type vocabulary struct {
	buckets [vocabularyWords / bucketWords]bucket

	// once holds parts of the hashes of words that were met once, lately: a word
	// that does not come again is not worth its memory and a place.
	once [vocabularyWords]atomic.Uint32
}

// bucket is a cache line. The upper halves of the hashes lie beside the words,
// which are far apart: most of those that are another need not be looked at.
type bucket struct {
	hashes [bucketWords]atomic.Uint32
	words  [bucketWords]atomic.Pointer[knownWord]
	_      [16]byte
}

// knownWord is immutable but for read.
type knownWord struct {
	read   atomic.Bool // since it was last passed over to make room
	class  class
	length uint8
	runes  [maxVocabulary]rune
	terms  knownTerms
}

func (w *knownWord) is(c class, word []rune) bool {
	return w.class == c && slices.Equal(w.runes[:w.length], word)
}

// words is the vocabulary of the process.
var words = new(vocabulary)

// spread makes the hashes of words; its bits are those of the golden ratio.
const spread = 0x9e3779b97f4a7c15

func hashOf(c class, word []rune) uint64 {
	h := uint64(c) + 1
	for _, r := range word {
		h = (h ^ uint64(r)) * spread
		h ^= h >> 29
	}
	return h
}

func (v *vocabulary) bucket(hash uint64) *bucket { return &v.buckets[hash%uint64(len(v.buckets))] }

// find returns nil for a word that is not there.
func (v *vocabulary) find(hash uint64, c class, word []rune) *knownWord {
	b := v.bucket(hash)
	for i := range b.hashes {
		if b.hashes[i].Load() != uint32(hash>>32) {
			continue
		}
		// Another word may have taken the place meanwhile.
		if w := b.words[i].Load(); w != nil && w.is(c, word) {
			if !w.read.Load() {
				w.read.Store(true)
			}
			return w
		}
	}
	return nil
}

// again reports whether a word was met before, lately. Now and then it takes one
// word for another, which only means that the vocabulary learns it sooner.
func (v *vocabulary) again(hash uint64) bool {
	mark := uint32(hash >> 32)
	return v.once[hash%uint64(len(v.once))].Swap(mark) == mark
}

// learn takes a word with its terms. Two goroutines may learn the same word, which
// then has two places until one of them is taken.
func (v *vocabulary) learn(hash uint64, c class, word []rune, terms *termSet) *knownWord {
	w := &knownWord{class: c, length: uint8(len(word)), terms: terms.known()}
	copy(w.runes[:], word)
	b := v.bucket(hash)
	first := hash >> 32
	place := first % bucketWords // when all were read
	for i := range uint64(bucketWords) {
		p := (first + i) % bucketWords
		if old := b.words[p].Load(); old == nil || !old.read.Swap(false) {
			place = p
			break
		}
	}
	b.words[place].Store(w)
	b.hashes[place].Store(uint32(hash >> 32))
	return w
}
