package search

import (
	"strings"
	"unicode/utf8"

	"knatter.dev/chat/internal/analysis"
)

// operators are the words of a query that say not what a message says but which one it
// is, as in from:nickname.
var operators = []string{"from", "in", "before", "after", "has"}

// operator is one of a query.
type operator struct{ name, value string }

// String is the operator as it can be typed.
func (o operator) String() string {
	if strings.ContainsFunc(o.value, isSpace) {
		return o.name + `:"` + o.value + `"`
	}
	return o.name + ":" + o.value
}

// cutOperators parts a query into its operators and what is left, in which a space is
// where each of them was. An operator begins a word; its value goes up to the next
// space or is in quotes. One without a value says nothing yet: somebody is typing.
// What is in quotes itself, or has another name, is text.
func cutOperators(q string) (found []operator, text string) {
	var rest strings.Builder
	for begins := true; q != ""; {
		if name, value, size := operatorAt(q); begins && size > 0 {
			if value != "" {
				found = append(found, operator{name, value})
			}
			rest.WriteByte(' ')
			q = q[size:]
			continue
		}
		r, size := utf8.DecodeRuneInString(q)
		if begins && strings.ContainsRune(analysis.Quotes, r) {
			_, quoted := quotedAt(q)
			size = max(size, quoted)
		}
		begins = strings.TrimSpace(q[:size]) == ""
		rest.WriteString(q[:size])
		q = q[size:]
	}
	return found, strings.TrimSpace(rest.String())
}

// operatorAt reads the operator that a text begins with, and returns how many bytes it
// has; 0 if there is none.
func operatorAt(s string) (name, value string, size int) {
	for _, name := range operators {
		if len(s) < len(name) || !strings.EqualFold(s[:len(name)], name) {
			continue
		}
		value, ok := strings.CutPrefix(s[len(name):], ":")
		if !ok {
			if value, ok = strings.CutPrefix(s[len(name):], "："); !ok {
				continue
			}
		}
		before := len(s) - len(value)
		if inner, size := quotedAt(value); size > 0 {
			return name, strings.TrimSpace(inner), before + size
		}
		if end := strings.IndexFunc(value, isSpace); end >= 0 {
			value = value[:end]
		}
		return name, strings.Trim(value, analysis.Quotes), before + len(value)
	}
	return "", "", 0
}

// quotedAt reads what is in quotes at the beginning of a text, and returns how many bytes
// that and its quotes have; 0 if there is nothing.
func quotedAt(s string) (inner string, size int) {
	r, first := utf8.DecodeRuneInString(s)
	if !strings.ContainsRune(analysis.Quotes, r) {
		return "", 0
	}
	end := strings.IndexAny(s[first:], analysis.Quotes)
	if end < 0 {
		return "", 0
	}
	_, last := utf8.DecodeRuneInString(s[first+end:])
	return s[first : first+end], first + end + last
}

func isSpace(r rune) bool { return strings.TrimSpace(string(r)) == "" }
