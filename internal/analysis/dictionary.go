package analysis

import (
	"context"
	"runtime/debug"
	"strings"
	"sync"
	"unicode/utf8"

	ko "github.com/ikawaha/kagome-dict-ko"
	"github.com/ikawaha/kagome-dict/dict"
)

// dictionary is the only one of the process: it is large and read-only.
var dictionary = loader{done: make(chan struct{})}

// loader loads the mecab-ko dictionary once. The lexicon is set when done is
// closed.
type loader struct {
	once sync.Once
	done chan struct{}

	lexicon *lexicon
}

// start's goroutine ends by itself, when the dictionary is loaded.
func (l *loader) start() { l.once.Do(func() { go l.load() }) }

func (l *loader) wait(ctx context.Context) error {
	l.start()
	if l.ready() {
		return nil
	}
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *loader) ready() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

func (l *loader) load() {
	defer close(l.done)
	d := ko.Dict()
	l.lexicon = newLexicon(d)
	// What the lexicon has not taken over is most of it. Nothing else in the process
	// uses the dictionary.
	*d = dict.Dict{}
	debug.FreeOSMemory() // what loading left behind is more than what stays
}

// Columns of an entry's contents, which begin after the part of speech.
const (
	columnType       = ko.Type - ko.POSHierarchy
	columnExpression = ko.Expression - ko.POSHierarchy
)

// partTable holds the content parts of the dictionary's entries that have parts,
// compounds and inflected forms, as terms: entry id's are
// terms[offsets[id]:offsets[id+1]], separated by spaces.
type partTable struct {
	terms   string
	offsets []uint32
}

func newPartTable(contents dict.Contents) partTable {
	var terms strings.Builder
	p := partTable{offsets: make([]uint32, 0, len(contents)+1)}
	for _, columns := range contents {
		p.offsets = append(p.offsets, uint32(terms.Len()))
		if !hasParts(columns) {
			continue
		}
		// For example 만나/VV/*+았/EP/*.
		separator := ""
		for part := range strings.SplitSeq(columns[columnExpression], "+") {
			word, rest, _ := strings.Cut(part, "/")
			pos, _, _ := strings.Cut(rest, "/")
			tag, _ := contentOf(pos)
			if tag == 0 || word == "" || utf8.RuneCountInString(word) > maxTerm || strings.Contains(word, " ") {
				continue
			}
			terms.WriteString(separator)
			terms.WriteByte(tag)
			terms.WriteString(word)
			separator = " "
		}
	}
	p.offsets = append(p.offsets, uint32(terms.Len()))
	p.terms = terms.String()
	return p
}

// hasParts tells whether the dictionary splits an entry, be it that none of the
// parts is content.
func hasParts(columns []string) bool {
	return len(columns) > columnExpression && columns[columnType] != "*"
}

// of returns the content parts of an entry, separated by spaces.
func (p *partTable) of(id int) string { return p.terms[p.offsets[id]:p.offsets[id+1]] }

// contentOf tells what kind of term a part of speech of mecab-ko gives: 0 for
// what carries no meaning of its own. Helpers, such as auxiliary verbs and
// counting words, are in the index, but a query that has other content does not
// insist on them.
func contentOf(pos string) (tag byte, helper bool) {
	switch pos {
	case "NNG", "NNP", "NP", "NR", "XR", "XPN", "MAG", "NA", "UNA", "UNKNOWN":
		return tagNoun, false
	case "NNB", "NNBC":
		return tagNoun, true
	case "VV", "VA", "VCN":
		return tagVerb, false
	case "VX":
		return tagVerb, true
	}
	return 0, false
}
