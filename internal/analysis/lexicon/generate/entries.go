package main

import (
	"fmt"
	"strings"

	ko "github.com/ikawaha/kagome-dict-ko"
	"github.com/ikawaha/kagome-dict/dict"

	"knatter.dev/chat/internal/analysis/lexicon"
)

// Columns of an entry's contents, which begin after the part of speech.
const (
	columnType       = ko.Type - ko.POSHierarchy
	columnExpression = ko.Expression - ko.POSHierarchy
)

// entries gathers the lexicon's entries, and what they share.
type entries struct {
	dict     *dict.Dict
	contexts contexts
	list     []lexicon.Entry

	shapes  [][]byte // the first is none
	numbers map[string]uint16
}

func newEntries(d *dict.Dict, surfaces []surface) (*entries, error) {
	var used dict.Morphs
	for _, s := range surfaces {
		used = append(used, d.Morphs[s.from:s.to]...)
	}
	e := &entries{
		dict:     d,
		contexts: newContexts(d.Connection, append(used, d.UnkDict.Morphs...)),
		shapes:   [][]byte{nil},
		numbers:  make(map[string]uint16),
	}
	if c := &e.contexts; max(c.rights, len(c.costs)/c.rights) > maxContexts {
		return nil, fmt.Errorf("more than %d contexts", maxContexts)
	}
	return e, nil
}

// add adds an entry of the dictionary; repeated reports whether the next one has the
// same surface.
func (e *entries) add(surface string, id int, repeated bool) error {
	d := e.dict
	traits := traitsOf(d.POSTable.NameList[d.POSTable.POSs[id][0]])
	if repeated {
		traits |= lexicon.Repeated
	}
	var shape uint16
	if columns := d.Contents[id]; len(columns) > columnExpression && columns[columnType] != "*" {
		var err error
		if shape, err = e.shape(surface, columns[columnExpression]); err != nil {
			return err
		}
	}
	e.addMorph(d.Morphs[id], traits, shape)
	return nil
}

// shape returns the number of a shape.
func (e *entries) shape(surface, expression string) (uint16, error) {
	shape, err := shapeOf(surface, expression)
	if err != nil {
		return 0, err
	}
	number, ok := e.numbers[string(shape)]
	if !ok {
		if len(e.shapes) == maxShapes {
			return 0, fmt.Errorf("more than %d shapes", maxShapes)
		}
		number = uint16(len(e.shapes))
		e.numbers[string(shape)] = number
		e.shapes = append(e.shapes, shape)
	}
	return number, nil
}

// addUnknown adds an entry for unknown words.
func (e *entries) addUnknown(id int) {
	unknown := e.dict.UnkDict
	e.addMorph(unknown.Morphs[id], traitsOf(unknown.Contents[id][0]), 0)
}

func (e *entries) addMorph(m dict.Morph, t lexicon.Traits, shape uint16) {
	left, right := e.contexts.left[m.LeftID], e.contexts.right[m.RightID]
	e.list = append(e.list, lexicon.NewEntry(left, right, m.Weight, t, shape))
}

// shapeOf returns the shape of an entry whose parts are given, for example
// 만나/VV/*+았/EP/*: those that are content.
func shapeOf(surface, expression string) ([]byte, error) {
	shape := []byte{0}
	n := 0
	for part := range strings.SplitSeq(expression, "+") {
		word, rest, _ := strings.Cut(part, "/")
		pos, _, _ := strings.Cut(rest, "/")
		traits := contentOf(pos)
		if traits == 0 || word == "" {
			continue
		}
		if len(word) > lexicon.MaxPart {
			return nil, fmt.Errorf("%s is too long a part", word)
		}
		after, next := strings.CutPrefix(surface, word)
		shape = append(shape, byte(lexicon.NewPart(traits&lexicon.Verb != 0, !next, len(word))))
		if next {
			surface = after
		} else {
			shape = append(shape, word...)
		}
		n++
	}
	if n > 127 {
		return nil, fmt.Errorf("%d parts", n)
	}
	shape[0] = byte(n << 1)
	if surface == "" {
		shape[0] |= 1
	}
	return shape, nil
}

// contentOf tells what a part of speech of mecab-ko is: 0 for what carries no
// meaning of its own. Helpers, such as auxiliary verbs and counting words, are in
// the index, but a query that has other content does not insist on them.
func contentOf(pos string) lexicon.Traits {
	switch pos {
	case "NNG", "NNP", "NP", "NR", "XR", "XPN", "MAG", "NA", "UNA", "UNKNOWN":
		return lexicon.Noun
	case "NNB", "NNBC":
		return lexicon.Noun | lexicon.Helper
	case "VV", "VA", "VCN":
		return lexicon.Verb
	case "VX":
		return lexicon.Verb | lexicon.Helper
	}
	return 0
}

// traitsOf are those of an entry with these parts of speech, such as VV+EP.
func traitsOf(pos string) lexicon.Traits {
	first, _, several := strings.Cut(pos, "+")
	t := contentOf(first)
	if first == "XSV" || first == "XSA" {
		t |= lexicon.Suffix
	}
	if strings.HasPrefix(first, "VX") || strings.HasPrefix(first, "E") {
		t |= lexicon.Continues
	}
	if several {
		t |= lexicon.Grown
	}
	return t
}
