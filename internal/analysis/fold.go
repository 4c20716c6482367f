package analysis

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// folder brings characters to the form in which they are compared: NFKC, without
// case, and without the marks and variants that people leave out when they type.
// Its memory is used again.
type folder struct {
	base     rune // the last character that is no mark, to which marks belong
	bytes    []byte
	kept     []byte
	composed []byte
	runes    []rune
}

// fold returns the form of characters that end where nothing is composed with
// what follows. It is valid until the next call.
func (f *folder) fold(s string) []rune {
	f.bytes = norm.NFKD.AppendString(f.bytes[:0], s)
	f.kept = f.kept[:0]
	for rest := f.bytes; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		if !unicode.Is(unicode.Mn, r) {
			f.base = r
		} else if leftOut(f.base, r) {
			continue
		}
		f.kept = utf8.AppendRune(f.kept, r)
	}
	f.composed = norm.NFC.Append(f.composed[:0], f.kept...)
	f.runes = f.runes[:0]
	for rest := f.composed; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		f.add(r)
	}
	return f.runes
}

func (f *folder) add(r rune) {
	switch {
	case r < utf8.RuneSelf:
		f.runes = append(f.runes, unicode.ToLower(r))
	case unicode.Is(unicode.Hangul, r):
		f.runes = appendLetters(f.runes, r)
	case invisible(r):
	case classOf(r) != spaced:
		f.runes = append(f.runes, r)
	default:
		// By way of the upper case, so that ς is σ and ı is i.
		r = unicode.ToLower(unicode.ToUpper(r))
		if same, ok := variants[r]; ok {
			f.runes = append(f.runes, []rune(same)...)
		} else {
			f.runes = append(f.runes, r)
		}
	}
}

// leftOut reports whether people who write the base may leave out the mark. In
// Cyrillic й and ї are letters of their own, which nobody does that with, but ё is
// often е; in scripts such as Devanagari marks are vowels.
func leftOut(base, mark rune) bool {
	if unicode.Is(unicode.Cyrillic, base) {
		return mark == '\u0300' || mark == '\u0301' || mark == '\u0308' && (base == 'е' || base == 'Е')
	}
	return unicode.In(base, unicode.Latin, unicode.Greek, unicode.Arabic, unicode.Hebrew)
}

// variants are letters that count as others, though Unicode doesn't decompose
// them: with strokes, which keyboards lack, and forms of Arabic letters that
// keyboards and writers mix up.
var variants = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'þ': "th", 'đ': "d", 'ð': "d", 'ħ': "h", 'ł': "l", 'ø': "o", 'ŧ': "t",
	'ٱ': "ا", 'ى': "ي", 'ی': "ي", 'ک': "ك", 'ة': "ه",
}

// invisible reports whether a character is there for layout or joining only, such
// as the selectors and joiners in emoji, or to stretch a word (the tatweel of
// Arabic): texts that differ in them read the same.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Variation_Selector) || r == '\u034f' || r == '\u0640' || r == '\u115f' || r == '\u1160'
}

// The alphabets of Europe, whose letters mostly become one letter each.
const (
	firstEuropean = '\u0080'
	lastEuropean  = '\u052f'
	firstExtended = '\u1e00' // Latin, among it Vietnamese
	lastExtended  = '\u1eff'
)

type european struct {
	letters  [lastEuropean - firstEuropean + 1]rune
	extended [lastExtended - firstExtended + 1]rune
}

// europeans has the normal forms of the characters that have one of one letter and
// stand alone, whatever is before them; -1 for the others.
var europeans = sync.OnceValue(func() *european {
	var e european
	for i := range e.letters {
		e.letters[i] = alone(firstEuropean + rune(i))
	}
	for i := range e.extended {
		e.extended[i] = alone(firstExtended + rune(i))
	}
	return &e
})

func alone(r rune) rune {
	s := string(r)
	if !norm.NFKC.PropertiesString(s).BoundaryBefore() || unicode.IsMark(r) {
		return -1
	}
	var f folder
	if form := f.fold(s); len(form) == 1 {
		return form[0]
	}
	return -1
}

// The letters of Hangul that stand by themselves, as in ㅋㅋ and ㅠㅠ. NFKC would
// make them parts of syllables (ㅋㅠ would be 큐), so they are kept from it.
const (
	firstLetter   = 'ㄱ'
	lastConsonant = 'ㅎ'
	firstVowel    = 'ㅏ'
	lastVowel     = 'ㅣ'
	lastLetter    = '\u318e' // with those of older Korean
	filler        = '\u3164'
)

// leads are the consonants that begin syllables, in the order of these.
var leads = []rune("ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ")

// tails are the consonants that end syllables, in the order of these.
var tails = []rune("ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")

// clusters are the letters that are two consonants: keyboards make ㄳ of ㄱ and ㅅ
// typed one after the other, so it is the same as these.
var clusters = func() (list [lastVowel - firstLetter + 1]string) {
	for pair := range strings.FieldsSeq("ㄳㄱㅅ ㄵㄴㅈ ㄶㄴㅎ ㄺㄹㄱ ㄻㄹㅁ ㄼㄹㅂ ㄽㄹㅅ ㄾㄹㅌ ㄿㄹㅍ ㅀㄹㅎ ㅄㅂㅅ") {
		r, size := utf8.DecodeRuneInString(pair)
		list[r-firstLetter] = pair[size:]
	}
	return list
}()

// isApart reports whether nothing is composed with a character: a letter, or bytes
// that are none.
func isApart(r rune) bool { return isLetter(r) || r == utf8.RuneError }

// isLetter reports whether a character is such a letter, also of half the width.
func isLetter(r rune) bool {
	return firstLetter <= r && r <= lastLetter || '\uffa0' <= r && r <= '\uffdc'
}

// apart returns the form of the first character of s, if nothing is composed with
// it; size is 0 otherwise.
func (f *folder) apart(s string) (form []rune, size int) {
	r, size := utf8.DecodeRuneInString(s)
	if !isApart(r) {
		return nil, 0
	}
	f.base = 0
	f.runes = appendLetters(f.runes[:0], r)
	return f.runes, size
}

// appendLetters appends a character of Hangul; a letter of whatever kind as one
// that stands by itself, so that all kinds are the same.
func appendLetters(dst []rune, r rune) []rune {
	switch {
	case '\u1100' <= r && int(r-'\u1100') < len(leads):
		r = leads[r-'\u1100']
	case r == '\u111a':
		r = 'ㅀ'
	case r == '\u1121':
		r = 'ㅄ'
	case '\u1161' <= r && r <= '\u1175':
		r += firstVowel - '\u1161'
	case '\u11a8' <= r && int(r-'\u11a8') < len(tails):
		r = tails[r-'\u11a8']
	case '\uffa1' <= r && r <= '\uffbe':
		r += firstLetter - '\uffa1'
	case '\uffc2' <= r && r <= '\uffdc' && (r-'\uffc2')%8 < 6: // in groups of six, each two code points after the one before
		r = firstVowel + (r-'\uffc2')/8*6 + (r-'\uffc2')%8
	}
	switch {
	case r == filler, r == '\uffa0', invisible(r):
	case firstLetter <= r && r <= lastVowel && clusters[r-firstLetter] != "":
		dst = append(dst, []rune(clusters[r-firstLetter])...)
	default:
		dst = append(dst, r)
	}
	return dst
}

func isSyllable(r rune) bool { return firstSyllable <= r && r <= lastSyllable }

// lead returns the consonant that begins a syllable.
func lead(syllable rune) rune {
	return leads[(syllable-firstSyllable)/((lastSyllable-firstSyllable+1)/rune(len(leads)))]
}
