package chat

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	// maxDepth is the maximum nesting of objects and arrays. Readers with a limit of
	// 64, which is common, can read a value also as part of a page.
	maxDepth = 50

	// readableDepth is the limit of encoding/json.
	readableDepth = 10_000

	maxNumber      = 100       // characters of a number
	maxDigits      = 17        // significant ones: those of a double
	maxInteger     = 1<<53 - 1 // beyond, doubles have gaps
	fewMembers     = 8         // are compared each with each
	highSurrogate  = 0xd800
	lowSurrogate   = 0xdc00
	afterSurrogate = 0xe000
)

// CheckJSON checks that b is one JSON value that all programs read alike. That is
// I-JSON (RFC 7493), which has no lone surrogates or noncharacters in strings, no
// numbers that do not fit into a double, and no two members of the same name; and it
// must not be nested deeper than readers allow.
//
// Errors: Malformed for what is not JSON in UTF-8, Invalid for what is not I-JSON.
func CheckJSON(b []byte) error { return checkJSON(b, 0) }

// checkJSON is CheckJSON for a value that will be nested in the given number of levels.
func checkJSON(b []byte, in int) error {
	s := scan(b, in)
	switch {
	case s.malformed:
		return Errorf(Malformed, "not JSON")
	case s.excluded != "":
		return Errorf(Invalid, "not every program could read this JSON (RFC 7493): it has %s", s.excluded)
	}
	return nil
}

// readable reports whether b is JSON in UTF-8 that encoding/json can read.
func readable(b []byte) bool {
	s := scan(b, 0)
	return !s.malformed && s.deepest <= readableDepth
}

// scanner validates a JSON value without keeping anything of it. Every frame of every
// client goes through it. It takes half the time of json.Valid.
type scanner struct {
	b         []byte
	in        int      // levels around all
	open      []int    // for each object or array around: where its names begin; -1 for an array
	names     [][]byte // of the members of the objects around
	deepest   int
	malformed bool
	excluded  string // the first thing that RFC 7493 excludes
}

// scanners keep what they have for the next one.
var scanners = sync.Pool{New: func() any { return new(scanner) }}

// maxKept bounds that: few have so many names.
const maxKept = 1024

func scan(b []byte, in int) scanner {
	s := scanners.Get().(*scanner)
	s.b, s.in = b, in
	s.malformed = !utf8.Valid(b) || !s.value()
	result := scanner{deepest: s.deepest, malformed: s.malformed, excluded: s.excluded}
	if cap(s.names) <= maxKept && cap(s.open) <= maxKept {
		clear(s.names[:cap(s.names)]) // they are parts of b
		*s = scanner{open: s.open[:0], names: s.names[:0]}
		scanners.Put(s)
	}
	return result
}

func (s *scanner) exclude(what string) {
	if s.excluded == "" {
		s.excluded = what
	}
}

// at returns the byte at i, or 0, which never occurs in JSON.
func (s *scanner) at(i int) byte {
	if i < len(s.b) {
		return s.b[i]
	}
	return 0
}

// space returns the index of the first byte from i on that is not white space.
func (s *scanner) space(i int) int {
	for c := s.at(i); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = s.at(i) {
		i++
	}
	return i
}

// value reports whether the whole input is one value. It keeps a stack of its own,
// since the sender chooses the depth.
func (s *scanner) value() bool {
	i, ok := 0, true
	for {
		i = s.space(i)
		switch c := s.at(i); {
		case c == '{' || c == '[':
			i = s.enter(c, i)
			if closing := s.at(i); closing == c+2 { // '}' is '{'+2, and ']' is '['+2
				break
			}
			if c == '{' {
				if i, ok = s.name(i); !ok {
					return false
				}
			}
			continue
		case c == '"':
			i, ok = s.text(i)
		case c == '-' || '0' <= c && c <= '9':
			i, ok = s.number(i)
		default:
			i, ok = s.literal(i)
		}
		if !ok {
			return false
		}
		more := false
		if i, more, ok = s.after(i); !more {
			return ok
		}
	}
}

func (s *scanner) enter(c byte, i int) int {
	first := -1
	if c == '{' {
		first = len(s.names)
	}
	s.open = append(s.open, first)
	if s.deepest = max(s.deepest, s.in+len(s.open)); s.deepest > maxDepth {
		s.exclude("more than " + strconv.Itoa(maxDepth) + " levels")
	}
	return s.space(i + 1)
}

// after continues behind a value, with the next value or the end.
func (s *scanner) after(i int) (next int, more, ok bool) {
	for {
		i = s.space(i)
		if len(s.open) == 0 {
			return i, false, i == len(s.b)
		}
		first := s.open[len(s.open)-1]
		switch c := s.at(i); {
		case c == ',' && first < 0:
			return i + 1, true, true
		case c == ',':
			next, ok = s.name(s.space(i + 1))
			return next, ok, ok
		case c == ']' && first < 0:
		case c == '}' && first >= 0:
			if repeated(s.names[first:]) {
				s.exclude("two members of one name")
			}
			s.names = s.names[:first]
		default:
			return i, false, false
		}
		s.open = s.open[:len(s.open)-1]
		i++
	}
}

// name reads a member's name and the colon.
func (s *scanner) name(i int) (next int, ok bool) {
	if s.at(i) != '"' {
		return i, false
	}
	next, ok = s.text(i)
	if !ok {
		return next, false
	}
	name := s.b[i+1 : next-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		plain, err := unquote(s.b[i:next])
		if err != nil {
			return next, false
		}
		name = []byte(plain)
	}
	s.names = append(s.names, name)
	next = s.space(next)
	return next + 1, s.at(next) == ':'
}

// repeated reports whether a name occurs twice. It changes the order of the names.
func repeated(names [][]byte) bool {
	if len(names) <= fewMembers {
		for i, name := range names {
			for _, other := range names[:i] {
				if string(name) == string(other) {
					return true
				}
			}
		}
		return false
	}
	slices.SortFunc(names, bytes.Compare)
	for i := 1; i < len(names); i++ {
		if bytes.Equal(names[i-1], names[i]) {
			return true
		}
	}
	return false
}

// ordinary are the bytes of strings that need no second look: not the end, an escape, a
// control character, or the beginning of a possible noncharacter.
var ordinary = func() (table [256]bool) {
	for c := range table {
		table[c] = c >= 0x20 && c != '"' && c != '\\' && c < 0xef
	}
	return table
}()

// eightOrdinary is ordinary of eight bytes at once.
func eightOrdinary(b []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	w := binary.LittleEndian.Uint64(b)
	quote, backslash := w^'"'*ones, w^'\\'*ones
	special := (w-0x20*ones)&^w | (quote-ones)&^quote | (backslash-ones)&^backslash | (w&^high+(0x80-0x6f)*ones)&w
	return special&high == 0
}

// text reads a string, and returns the index after it.
func (s *scanner) text(i int) (next int, ok bool) {
	for i++; i < len(s.b); {
		c := s.b[i]
		if ordinary[c] {
			i++
			for i+8 <= len(s.b) && eightOrdinary(s.b[i:]) {
				i += 8
			}
			continue
		}
		switch {
		case c == '"':
			return i + 1, true
		case c == '\\':
			if i, ok = s.escape(i); !ok {
				return i, false
			}
		case c < 0x20:
			return i, false
		default: // the beginning of a character of three bytes or four
			n := 3
			if c >= 0xf0 {
				n = 4
			}
			// Few others have their endings.
			if last := s.b[i+n-2 : i+n]; last[0] == 0xbf && last[1] >= 0xbe || s.b[i+1] == 0xb7 {
				r, _ := utf8.DecodeRune(s.b[i:])
				s.character(r)
			}
			i += n
		}
	}
	return i, false
}

// escape reads an escape, both of them where two make one character.
func (s *scanner) escape(i int) (next int, ok bool) {
	switch s.at(i + 1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, true
	case 'u':
	default:
		return i, false
	}
	unit, ok := s.unit(i)
	if !ok {
		return i, false
	}
	next = i + 6
	if unit < highSurrogate || unit >= afterSurrogate {
		s.character(unit)
		return next, true
	}
	low, paired := s.unit(next)
	if paired = paired && lowSurrogate <= low && low < afterSurrogate; !paired || unit >= lowSurrogate {
		s.exclude("a lone surrogate")
		return next, true
	}
	s.character(0x10000 + (unit-highSurrogate)<<10 + (low - lowSurrogate))
	return next + 6, true
}

// unit is the UTF-16 code unit of the escape \uXXXX at i.
func (s *scanner) unit(i int) (unit rune, ok bool) {
	if s.at(i) != '\\' || s.at(i+1) != 'u' || len(s.b) < i+6 {
		return 0, false
	}
	for _, c := range s.b[i+2 : i+6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		unit = unit<<4 | rune(c)
	}
	return unit, true
}

func (s *scanner) character(r rune) {
	if noncharacter(r) {
		s.exclude("a noncharacter")
	}
}

// number reads a number, and returns the index after it.
func (s *scanner) number(i int) (next int, ok bool) {
	from, whole := i, true
	if s.at(i) == '-' {
		i++
	}
	if s.at(i) == '0' {
		i++
	} else if i, ok = s.digits(i); !ok {
		return i, false
	}
	if s.at(i) == '.' {
		whole = false
		if i, ok = s.digits(i + 1); !ok {
			return i, false
		}
	}
	if c := s.at(i); c == 'e' || c == 'E' {
		whole = false
		i++
		if c := s.at(i); c == '+' || c == '-' {
			i++
		}
		if i, ok = s.digits(i); !ok {
			return i, false
		}
	}
	if !fits(s.b[from:i], whole) {
		s.exclude("a number that a double cannot hold")
	}
	return i, true
}

func (s *scanner) digits(i int) (next int, ok bool) {
	from := i
	for c := s.at(i); '0' <= c && c <= '9'; c = s.at(i) {
		i++
	}
	return i, i > from
}

// fits reports whether a double holds all digits of the number.
func fits(number []byte, whole bool) bool {
	if len(number) > maxNumber {
		return false
	}
	if whole {
		n, err := strconv.ParseInt(string(number), 10, 64)
		return err == nil && -maxInteger <= n && n <= maxInteger
	}
	mantissa, _, _ := strings.Cut(strings.ToLower(string(number)), "e")
	digits := strings.Trim(strings.NewReplacer("-", "", ".", "").Replace(mantissa), "0")
	f, err := strconv.ParseFloat(string(number), 64)
	return err == nil && len(digits) <= maxDigits && (f != 0 || digits == "")
}

// literal reads true, false or null.
func (s *scanner) literal(i int) (next int, ok bool) {
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.b[min(i, len(s.b)):], []byte(word)) {
			return i + len(word), true
		}
	}
	return i, false
}
