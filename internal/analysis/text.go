package analysis

import (
	"unicode"
	"unicode/utf8"

	"github.com/kljensen/snowball/english"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// text is a text in the form that is compared, with the way back: rune i comes
// from source[from[i]:to[i]].
type text struct {
	source   string
	runes    []rune
	classes  []class
	from, to []int32
}

// class is what kind of script a character belongs to.
type class uint8

const (
	separator class = iota // white space, punctuation, anything not searchable
	hangul
	unspaced // scripts written without spaces; symbols and emoji
	spaced   // letters and digits of all other scripts
	mark     // combining: belongs to the character before it
)

// run is a stretch of characters of one class.
type run struct {
	class      class
	start, end int
}

func normalise(s string) text {
	n := min(len(s), maxRunes)
	t := text{
		source:  s,
		runes:   make([]rune, 0, n),
		classes: make([]class, 0, n),
		from:    make([]int32, 0, n),
		to:      make([]int32, 0, n),
	}
	fold := cases.Fold()
	var it norm.Iter
	for it.InitString(norm.NFKC, s); !it.Done(); {
		from := it.Pos()
		piece := it.Next()
		to := it.Pos()
		for len(piece) > 0 {
			r, size := utf8.DecodeRune(piece)
			c := classOf(r)
			switch {
			case 'A' <= r && r <= 'Z':
				t.append(r+'a'-'A', c, from, to)
			case r < utf8.RuneSelf || c != spaced && !invisible(r):
				t.append(r, c, from, to)
			case c == spaced:
				for _, folded := range fold.String(string(piece[:size])) {
					t.append(folded, classOf(folded), from, to)
				}
			}
			piece = piece[size:]
		}
		if len(t.runes) >= maxRunes {
			break
		}
	}
	return t
}

func (t *text) append(r rune, c class, from, to int) {
	if c == mark {
		c = separator
		if n := len(t.classes); n > 0 {
			c = t.classes[n-1]
		}
	}
	t.runes = append(t.runes, r)
	t.classes = append(t.classes, c)
	t.from = append(t.from, int32(from))
	t.to = append(t.to, int32(to))
}

// runs are the searchable runs of the text.
func (t *text) runs() []run {
	var runs []run
	for i := 0; i < len(t.classes); {
		start, c := i, t.classes[i]
		for i < len(t.classes) && t.classes[i] == c {
			i++
		}
		if c != separator {
			runs = append(runs, run{c, start, i})
		}
	}
	return runs
}

// skip is the first place at or after i that is searchable, or the end.
func (t *text) skip(i int) int {
	for i < len(t.classes) && t.classes[i] == separator {
		i++
	}
	return i
}

var unspacedScripts = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Yi,
	unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

const prolonged = 'ー' // belongs to both kana, so to no script

func classOf(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return spaced
		}
		return separator
	case unicode.IsMark(r):
		return mark
	case unicode.Is(unicode.Hangul, r):
		return hangul
	case unicode.In(r, unspacedScripts...) || r == prolonged || unicode.Is(unicode.So, r) && r != utf8.RuneError:
		return unspaced
	case unicode.IsLetter(r) || unicode.IsNumber(r):
		return spaced
	}
	return separator
}

// invisible tells whether a character is there for layout or joining only, such
// as the selectors and joiners in emoji: texts that differ in them look the same.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Variation_Selector) || r == '\u034f' || r == '\u115f' || r == '\u1160'
}

// stemOf is the stem term of a word, "" when the word is too long for one. Words
// not in ASCII letters are their own stem.
func stemOf(word []rune) string {
	if len(word) > maxTerm {
		return ""
	}
	for _, r := range word {
		if r < 'a' || r > 'z' {
			return term(tagStem, word)
		}
	}
	return string(rune(tagStem)) + english.Stem(string(word), true)
}
