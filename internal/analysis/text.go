package analysis

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kljensen/snowball/english"
	"golang.org/x/text/unicode/norm"
)

// text is a text in the form that is compared, with the way back: rune i comes
// from source[from[i]:to[i]].
type text struct {
	source   string
	runes    []rune
	classes  []class
	from, to []int32
	digits   bool // has any

	folder folder
}

// class is what kind of script a character belongs to.
type class uint8

const (
	separator class = iota // white space, punctuation, anything not searchable
	hangul                 // syllables
	letters                // of Hangul, by themselves
	unspaced               // scripts written without spaces; symbols and emoji
	spaced                 // letters and digits of all other scripts
	mark                   // combining: belongs to the character before it
)

// run is a stretch of characters of one class.
type run struct {
	class      class
	start, end int
}

func normalise(s string) *text {
	t := &text{}
	t.set(s)
	return t
}

// set makes t the text of s. Its memory is used again.
func (t *text) set(s string) {
	t.source, t.digits = s, false
	t.runes, t.classes, t.from, t.to = t.runes[:0], t.classes[:0], t.from[:0], t.to[:0]
	if n := min(len(s), maxRunes); cap(t.runes) < n {
		t.runes, t.classes = make([]rune, 0, n), make([]class, 0, n)
		t.from, t.to = make([]int32, 0, n), make([]int32, 0, n)
	}
	for at := 0; at < len(s) && len(t.runes) < maxRunes; {
		r, size := settled(s[at:])
		if size == 0 {
			at = t.compose(at)
			continue
		}
		t.append(r, classOf(r), at, at+size)
		at += size
	}
}

// settled returns the normal form of the first character of s, and its size in s,
// if it is known without what composes characters: it is one of the usual ones,
// and followed by such, which never become one with the character before them.
func settled(s string) (r rune, size int) {
	r, size = utf8.DecodeRuneInString(s)
	normal := usual(r)
	if normal < 0 {
		return 0, 0
	}
	if size < len(s) {
		if next, _ := utf8.DecodeRuneInString(s[size:]); usual(next) < 0 {
			return 0, 0
		}
	}
	return normal, size
}

// usual returns the normal form of a character that stands alone, whatever comes
// before it: ASCII, letters of Europe, syllables and letters of Hangul,
// ideographs, kana and most emoji; -1 for others.
func usual(r rune) rune {
	switch {
	case 'A' <= r && r <= 'Z':
		return r + 'a' - 'A'
	case 0 <= r && r < utf8.RuneSelf,
		firstSyllable <= r && r <= lastSyllable,
		'一' <= r && r <= '鿿', 'ぁ' <= r && r <= 'ゖ', 'ァ' <= r && r <= 'ー',
		0x1f300 <= r && r <= 0x1f64f, 0x1f680 <= r && r <= 0x1f6ff, 0x1f900 <= r && r <= 0x1f9ff,
		firstLetter <= r && r <= lastVowel && clusters[r-firstLetter] == "":
		return r
	case firstEuropean <= r && r <= lastEuropean:
		return europeans().letters[r-firstEuropean]
	case firstExtended <= r && r <= lastExtended:
		return europeans().extended[r-firstExtended]
	}
	return -1
}

// compose appends the character at a byte of the source and what may belong to
// it, up to the next that [usual] knows, and returns where that is.
func (t *text) compose(start int) (end int) {
	_, size := utf8.DecodeRuneInString(t.source[start:])
	end = start + size
	for end < len(t.source) {
		r, size := utf8.DecodeRuneInString(t.source[end:])
		if usual(r) >= 0 {
			break
		}
		end += size
	}
	f := &t.folder
	f.base = 0
	stop := start // of what is composed: letters of Hangul would be with what is before them
	for at := start; at < end && len(t.runes) < maxRunes; {
		form, size := f.apart(t.source[at:end])
		if size == 0 {
			if stop <= at {
				if stop = at + strings.IndexFunc(t.source[at:end], isApart); stop < at {
					stop = end
				}
			}
			size = norm.NFKC.NextBoundaryInString(t.source[at:stop], true)
			form = f.fold(t.source[at : at+size])
		}
		for _, r := range form {
			t.append(r, classOf(r), at, at+size)
		}
		at += size
	}
	return end
}

func (t *text) append(r rune, c class, from, to int) {
	if c == mark {
		c = separator
		if n := len(t.classes); n > 0 {
			c = t.classes[n-1]
		}
	}
	t.digits = t.digits || isDigit(r)
	t.runes = append(t.runes, r)
	t.classes = append(t.classes, c)
	t.from = append(t.from, int32(from))
	t.to = append(t.to, int32(to))
}

// runs are the searchable runs of the text.
func (t *text) runs() iter.Seq[run] {
	return func(yield func(run) bool) {
		for i := 0; i < len(t.classes); {
			start, c := i, t.classes[i]
			for i < len(t.classes) && t.classes[i] == c {
				i++
			}
			if c != separator && !yield(run{c, start, i}) {
				return
			}
		}
	}
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

// The syllables of Hangul.
const (
	firstSyllable = '가'
	lastSyllable  = '힣'
)

const prolonged = 'ー' // belongs to both kana, so to no script

func classOf(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return spaced
		}
		return separator
	case firstSyllable <= r && r <= lastSyllable:
		return hangul
	case unicode.IsMark(r):
		return mark
	case unicode.Is(unicode.Hangul, r):
		return letters
	case unicode.In(r, unspacedScripts...) || r == prolonged || unicode.Is(unicode.So, r) && r != utf8.RuneError:
		return unspaced
	case unicode.IsLetter(r) || unicode.IsNumber(r):
		return spaced
	}
	return separator
}

// stemOf is the stem of a word, "" when the word is too long for one. Words not
// in ASCII letters are their own stem.
func stemOf(word []rune) string {
	if len(word) > maxTerm {
		return ""
	}
	for _, r := range word {
		if r < 'a' || r > 'z' {
			return string(word)
		}
	}
	return english.Stem(string(word), true)
}
