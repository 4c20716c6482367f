package names

import "unicode"

// isBase reports whether c is seen on its own: a letter, a number, a punctuation
// mark or a symbol, as emoji are, that is not blank. Emoji come sooner than the
// tables, so all of their blocks counts.
func isBase(c rune) bool {
	emoji := c >= 0x1f000 && c <= 0x1faff
	return emoji || unicode.In(c, unicode.L, unicode.N, unicode.P, unicode.S) && !isBlank(c) && !isIgnorable(c)
}

// isBlank reports whether c is a letter or symbol by category, and yet nothing is
// seen of it.
func isBlank(c rune) bool {
	switch c {
	case '\u2800', // braille pattern blank
		'\ufffc',                   // object replacement character
		'\U00013441', '\U00013442', // Egyptian full and half blank
		'\U0001d159': // musical null notehead
		return true
	}
	return false
}

// isIgnorable reports whether c is one of the code points that show nothing where
// they are not supported: Unicode's Default_Ignorable_Code_Point, derived as its
// DerivedCoreProperties.txt says. Hangul fillers are among them, variation
// selectors, tags, joiners and marks of direction.
func isIgnorable(c rune) bool {
	switch {
	case unicode.In(c, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return true
	case !unicode.Is(unicode.Cf, c), unicode.Is(unicode.Prepended_Concatenation_Mark, c):
		return false
	}
	interlinear, hieroglyphs := c >= 0xfff9 && c <= 0xfffb, c >= 0x13430 && c <= 0x13440
	return !interlinear && !hieroglyphs
}
