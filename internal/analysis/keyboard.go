package analysis

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"knatter.dev/chat/internal/analysis/lexicon"
)

// A Korean keyboard has both alphabets on its keys, and a key that switches. Who
// forgets it types ghldmlfhr for 회의록, or ㅗ디ㅣㅐ for hello.

// keys are the letters of Hangul on the keys from a to z, and on those that differ
// with Shift.
var (
	keys    = []rune("ㅁㅠㅊㅇㄷㄹㅎㅗㅑㅓㅏㅣㅡㅜㅐㅔㅂㄱㄴㅅㅕㅍㅈㅌㅛㅋ")
	shifted = map[rune]rune{'Q': 'ㅃ', 'W': 'ㅉ', 'E': 'ㄸ', 'R': 'ㄲ', 'T': 'ㅆ', 'O': 'ㅒ', 'P': 'ㅖ'}
)

// joins are the letters that take two keys.
var joins = func() map[[2]rune]rune {
	m := make(map[[2]rune]rune)
	for _, t := range strings.Fields("ㅗㅏㅘ ㅗㅐㅙ ㅗㅣㅚ ㅜㅓㅝ ㅜㅔㅞ ㅜㅣㅟ ㅡㅣㅢ ㄱㅅㄳ ㄴㅈㄵ ㄴㅎㄶ ㄹㄱㄺ ㄹㅁㄻ ㄹㅂㄼ ㄹㅅㄽ ㄹㅌㄾ ㄹㅍㄿ ㄹㅎㅀ ㅂㅅㅄ") {
		r := []rune(t)
		m[[2]rune{r[0], r[1]}] = r[2]
	}
	return m
}()

// apart are the two letters of each.
var apart = func() map[rune][2]rune {
	m := make(map[rune][2]rune)
	for pair, both := range joins {
		m[both] = pair
	}
	return m
}()

// OtherKeyboard returns what a query would be had it been typed with the other
// alphabet; ok is false when that is nothing anybody would look for. It is known if
// it is made of words, whether or not there is a message that has them.
func OtherKeyboard(query string) (other string, known, ok bool) {
	words := strings.Fields(query)
	known = true
	for i, w := range words {
		hangul, latin := strings.ContainsFunc(w, func(r rune) bool { return unicode.Is(unicode.Hangul, r) }), strings.ContainsFunc(w, isLatin)
		var typed string
		var word bool
		switch {
		case latin && !hangul:
			typed, word = toHangul(w)
		case hangul && !latin:
			typed, word = toLatin(w)
		}
		if typed == "" {
			continue // as it is
		}
		words[i], ok, known = typed, true, known && word
	}
	if !ok {
		return "", false, false
	}
	return strings.Join(words, " "), known, true
}

func isLatin(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

// toHangul types a word with Hangul; "" when it becomes none. It is a word if the
// dictionary has all of it.
func toHangul(w string) (typed string, word bool) {
	if strings.ToUpper(w) == w {
		w = strings.ToLower(w) // with Caps Lock
	}
	var b strings.Builder
	var letters []rune
	flush := func() {
		b.WriteString(string(syllables(letters)))
		letters = letters[:0]
	}
	for _, r := range w {
		switch {
		case shifted[r] != 0:
			letters = append(letters, shifted[r])
		case isLatin(r):
			letters = append(letters, keys[unicode.ToLower(r)-'a'])
		default:
			flush()
			b.WriteRune(r)
		}
	}
	flush()
	typed = b.String()
	if !isWritten([]rune(typed)) {
		return "", false
	}
	return typed, isKnown(typed)
}

// isWritten reports whether each run of letters by themselves is one letter again
// and again, as in 네ㅋㅋ: others, such as ㅅㅁ나, are an English word.
func isWritten(text []rune) bool {
	for i, r := range text {
		if !isLetter(r) {
			continue
		}
		again := i > 0 && text[i-1] == r || i+1 < len(text) && text[i+1] == r
		other := i > 0 && isLetter(text[i-1]) && text[i-1] != r || i+1 < len(text) && isSyllable(text[i+1])
		if !again || other {
			return false
		}
	}
	return true
}

// isKnown reports whether the dictionary has all of a text, with an entry of more
// than one syllable.
func isKnown(s string) bool {
	a := analysers.Get().(*analyser)
	defer analysers.Put(a)
	lex, whole := lexicon.Korean(), false
	t := normalise(s)
	for r := range t.runs() {
		word := t.runes[r.start:r.end]
		if r.class != hangul {
			continue
		}
		if len(word) > maxLattice {
			return false
		}
		a.lattice.analyse(lex, word)
		for i := range a.lattice.tokens {
			token := &a.lattice.tokens[i]
			if !hasEntry(lex, word[token.start:token.end]) {
				return false
			}
			whole = whole || token.end-token.start > 1
		}
	}
	return whole
}

func hasEntry(lex *lexicon.Lexicon, word []rune) (ok bool) {
	var state lexicon.State
	for _, r := range word {
		next, final, found := lex.Step(state, lex.Character(r))
		if !found {
			return false
		}
		state, ok = next, final
	}
	return ok
}

// syllables composes letters as a keyboard does: a consonant belongs to the syllable
// that a vowel behind it makes, and two letters of the same key row become one where
// there is such a letter.
func syllables(letters []rune) []rune {
	var out []rune
	for i := 0; i < len(letters); {
		lead := letters[i]
		if isVowel(lead) && i+1 < len(letters) && joins[[2]rune{lead, letters[i+1]}] != 0 {
			out = append(out, joins[[2]rune{lead, letters[i+1]}])
			i += 2
			continue
		}
		if isVowel(lead) || i+1 == len(letters) || !isVowel(letters[i+1]) {
			out = append(out, lead)
			i++
			continue
		}
		vowel, n := letters[i+1], 2
		if i+n < len(letters) {
			if both := joins[[2]rune{vowel, letters[i+n]}]; both != 0 && isVowel(letters[i+n]) {
				vowel = both
				n++
			}
		}
		tail, taken := tailOf(letters[i+n:])
		n += taken
		out = append(out, compose(lead, vowel, tail))
		i += n
	}
	return out
}

func isVowel(letter rune) bool { return firstVowel <= letter && letter <= lastVowel }

// tailOf is the consonant that ends a syllable before the rest of the letters, 0 for
// none, and how many letters it takes.
func tailOf(rest []rune) (tail rune, taken int) {
	closes := func(n int) bool { // the syllable, as no vowel needs the consonant
		return n <= len(rest) && !isVowel(rest[n-1]) && (n == len(rest) || !isVowel(rest[n]))
	}
	if len(rest) >= 2 && closes(2) {
		if both := joins[[2]rune{rest[0], rest[1]}]; both != 0 {
			return both, 2
		}
	}
	laughs := len(rest) > 1 && rest[1] == rest[0] && (len(rest) == 2 || !isVowel(rest[2])) // 네ㅋㅋ, not 넼ㅋ
	if closes(1) && !laughs && strings.ContainsRune(string(tails), rest[0]) {
		return rest[0], 1
	}
	return 0, 0
}

func compose(lead, vowel, tail rune) rune {
	parts := []rune{'\u1100' + index(leads, lead), '\u1161' + vowel - firstVowel}
	if tail != 0 {
		parts = append(parts, '\u11a8'+index(tails, tail))
	}
	r, _ := utf8.DecodeRuneInString(norm.NFC.String(string(parts)))
	return r
}

func index(list []rune, r rune) rune {
	for i := range list {
		if list[i] == r {
			return rune(i)
		}
	}
	return 0
}

// toLatin types a word of Hangul with Latin letters; "" for what is written in Korean.
// It is taken for a word if there are letters by themselves as Korean hasn't, and
// English vowels.
func toLatin(w string) (typed string, word bool) {
	var b strings.Builder
	consonants, vowels, whole := 0, 0, 0
	for _, r := range norm.NFC.String(w) {
		switch {
		case isSyllable(r):
			whole++
		case isVowel(r):
			vowels++
		case firstLetter <= r && r <= lastConsonant:
			consonants++
		}
		for _, part := range lettersOf(r) {
			b.WriteRune(keyOf(part))
		}
	}
	typed = strings.ToLower(b.String())
	if consonants+vowels > 0 && vowels+whole == 0 || consonants+whole == 0 && vowels > 0 {
		return "", false // ㅎㅇㄹ, ㅋㅋ and ㅠㅠ are meant
	}
	return typed, consonants+vowels > 0 && len(typed) > 2 && strings.ContainsAny(typed, "aeiouy")
}

// lettersOf are the letters that one types for a character.
func lettersOf(r rune) (typed []rune) {
	if !isSyllable(r) && !isLetter(r) {
		return []rune{r}
	}
	for _, part := range norm.NFD.String(string(r)) {
		for _, letter := range appendLetters(nil, part) {
			if pair, ok := apart[letter]; ok {
				typed = append(typed, pair[0], pair[1])
			} else {
				typed = append(typed, letter)
			}
		}
	}
	return typed
}

// keyOf is the key of a letter.
func keyOf(letter rune) rune {
	for i, r := range keys {
		if r == letter {
			return 'a' + rune(i)
		}
	}
	for key, r := range shifted {
		if r == letter {
			return unicode.ToLower(key)
		}
	}
	return letter
}
