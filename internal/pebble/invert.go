package pebble

import (
	"slices"
	"strings"
	"sync"
)

// inverted is a term, or a sender, and the documents that have it, in their order.
type inverted struct {
	text string
	docs []int32
}

// inversion turns documents with their terms into terms with their documents. It
// may be used again, when what it has returned is not needed any more.
type inversion struct {
	index map[string]int32 // of a term in all
	all   []inverted
	met   []int32 // terms by their index, of one document after another
	ends  []int32 // in met, of each document
	docs  []int32 // of all terms
}

var inversions = sync.Pool{New: func() any { return new(inversion) }}

// terms returns those of the documents, in order.
func (v *inversion) terms(docs []recentDocument) []inverted {
	return v.invert(docs, func(d *recentDocument) { d.terms(v.meet) })
}

// senders returns those of the documents, in order.
func (v *inversion) senders(docs []recentDocument) []inverted {
	return v.invert(docs, func(d *recentDocument) {
		if sender := d.sender(); len(sender) > 0 {
			v.meet(sender)
		}
	})
}

// invert counts first, so that all lists have their place in one.
func (v *inversion) invert(docs []recentDocument, meet func(*recentDocument)) []inverted {
	if v.index == nil {
		v.index = make(map[string]int32)
	}
	clear(v.index)
	v.all, v.met, v.ends = v.all[:0], v.met[:0], v.ends[:0]
	for i := range docs {
		meet(&docs[i])
		v.ends = append(v.ends, int32(len(v.met)))
	}
	counts := make([]int32, len(v.all))
	for _, t := range v.met {
		counts[t]++
	}
	v.docs = slices.Grow(v.docs[:0], len(v.met))[:len(v.met)]
	start := int32(0)
	for t, n := range counts {
		v.all[t].docs = v.docs[start : start : start+n]
		start += n
	}
	start = 0
	for doc, end := range v.ends {
		for _, t := range v.met[start:end] {
			v.all[t].docs = append(v.all[t].docs, int32(doc))
		}
		start = end
	}
	slices.SortFunc(v.all, func(a, b inverted) int { return strings.Compare(a.text, b.text) })
	return v.all
}

// meet is called with each term of one document after another.
func (v *inversion) meet(text []byte) {
	at, ok := v.index[string(text)]
	if !ok {
		at = int32(len(v.all))
		s := string(text)
		v.index[s] = at
		v.all = append(v.all, inverted{text: s})
	}
	v.met = append(v.met, at)
}
