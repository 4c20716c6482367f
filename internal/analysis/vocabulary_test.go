package analysis

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// TestVocabulary: however many words there are, and whoever reads them at once,
// all have the terms that they have by themselves, and the vocabulary stays
// within its bounds.
func TestVocabulary(t *testing.T) {
	list := distinctWords(rand.New(rand.NewPCG(9, 10)), 2*vocabularyWords)
	want := make([][]string, len(list))
	var a analyser
	for i, word := range list {
		text := normalise(word)
		a.terms.reset()
		for r := range text.runs() {
			a.addWord(&a.terms, r.class, text.runes[r.start:r.end])
		}
		want[i] = a.terms.strings()
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(11, uint64(g)))
			for range 100_000 {
				i := random.IntN(len(list)) * random.IntN(len(list)) / len(list) // some more often than others
				if got := Terms(list[i]); !slices.Equal(got, want[i]) {
					t.Errorf("%q: terms %q, want %q", list[i], got, want[i])
					return
				}
			}
		})
	}
	wg.Wait()
	known := 0
	for i := range words.buckets {
		for k := range words.buckets[i].words {
			if w := words.buckets[i].words[k].Load(); w != nil {
				known++
			}
		}
	}
	if known < vocabularyWords/2 {
		t.Errorf("%d words are known", known)
	}
}

// TestVocabularyKeeps: what is read again stays when others come.
func TestVocabularyKeeps(t *testing.T) {
	var v vocabulary
	var a analyser
	a.terms.reset()
	a.terms.addGrams([]rune("말"))
	const hash = 5 // all in one bucket
	v.learn(hash, hangul, []rune("말"), &a.terms)
	for i := range rune(1000) {
		if w := v.find(hash, hangul, []rune("말")); w == nil || !bytes.HasSuffix(w.terms, []byte("\x04g말")) {
			t.Fatalf("after %d others: %v", i, w)
		}
		v.learn(hash+uint64(i)<<32, hangul, []rune{firstSyllable + i, 'ㅋ'}, &a.terms)
	}
	if v.find(hash, unspaced, []rune("말")) != nil || v.find(hash, hangul, []rune("말말")) != nil {
		t.Error("another word is taken for it")
	}
}
