package chat

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"unicode/utf8"
)

// members calls f for each member of the JSON object b, as it stands in b. b has passed
// [CheckJSON], so it only looks for the ends of values: every frame of every client
// comes through here, and decoding into a map takes more than twice the time and the
// allocations.
func members(b []byte, f func(name string, value json.RawMessage) error) error {
	if b[skipSpace(b, 0)] != '{' {
		return Errorf(Malformed, "not a JSON object")
	}
	var failed error
	walk(b, func(quoted, value []byte) {
		if failed != nil {
			return
		}
		name, err := unquote(quoted)
		if err != nil {
			failed = Errorf(Malformed, "not a JSON object: %w", err)
			return
		}
		failed = f(name, value)
	})
	return failed
}

// walk calls f for each member of the object b, or for each element of the array b with
// no name. Both are parts of b.
func walk(b []byte, f func(name, value []byte)) {
	i := skipSpace(b, 0)
	object := b[i] == '{'
	for i = skipSpace(b, i+1); b[i] != '}' && b[i] != ']'; {
		var name []byte
		if object {
			end := valueEnd(b, i)
			name = b[i:end]
			i = skipSpace(b, end) // the colon
			i = skipSpace(b, i+1) // the value
		}
		end := valueEnd(b, i)
		f(name, b[i:end])
		i = skipSpace(b, end)
		if b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
}

func skipSpace(b []byte, i int) int {
	for b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r' {
		i++
	}
	return i
}

// valueEnd returns the index after the value that begins at i.
func valueEnd(b []byte, i int) int {
	for depth := 0; ; i++ {
		switch b[i] {
		case '"':
			i = stringEnd(b, i)
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 { // the end of the object that a bare value is in
				return i
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
}

// stringEnd is the index of the quote that ends the string that begins at i.
func stringEnd(b []byte, i int) int {
	i++
	for quote := i; ; {
		if quote <= i {
			quote = i + bytes.IndexByte(b[i:], '"')
		}
		backslash := bytes.IndexByte(b[i:quote], '\\')
		if backslash < 0 {
			return quote
		}
		i += backslash + 2
	}
}

func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			quoted, _ := Marshal(s) // a string always marshals
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// Marshal is [json.Marshal] without escapes for HTML: frames are not HTML.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// unquote returns the value of a valid JSON string.
func unquote(raw []byte) (string, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

func noncharacter(r rune) bool { return r&0xfffe == 0xfffe || 0xfdd0 <= r && r <= 0xfdef }

// onlyText returns the text of a message's data if the data has nothing else, in
// canonical form and without escapes, like most messages. It saves the four readers of
// each message most of their work.
func onlyText(data []byte) ([]byte, bool) {
	text, ok := quotedText(data)
	if !ok {
		return nil, false
	}
	if hasControl(text) {
		return nil, false
	}
	// The two line separators are escaped in the canonical form.
	if bytes.Contains(text, []byte("\u2028")) || bytes.Contains(text, []byte("\u2029")) || !utf8.Valid(text) || hasNoncharacter(text) {
		return nil, false
	}
	return text, true
}

// quotedText returns what is between the quotes of a message's data if the data has
// nothing but a text without escapes.
func quotedText(data []byte) ([]byte, bool) {
	text, ok := bytes.CutPrefix(data, []byte(`{"text":"`))
	if !ok {
		return nil, false
	}
	if text, ok = bytes.CutSuffix(text, []byte(`"}`)); !ok {
		return nil, false
	}
	return text, bytes.IndexByte(text, '"') < 0 && bytes.IndexByte(text, '\\') < 0
}

// hasControl reports whether there is a byte below 0x20, eight at a time.
func hasControl(text []byte) bool {
	const ones = 0x0101010101010101
	for ; len(text) >= 8; text = text[8:] {
		if w := binary.LittleEndian.Uint64(text); (w-0x20*ones)&^w&(0x80*ones) != 0 {
			return true
		}
	}
	for _, c := range text {
		if c < 0x20 {
			return true
		}
	}
	return false
}

// hasNoncharacter reports whether valid UTF-8 has one.
func hasNoncharacter(text []byte) bool {
	// Their endings, which few others have, are quicker to look for.
	if !bytes.Contains(text, []byte("\xbf\xbe")) && !bytes.Contains(text, []byte("\xbf\xbf")) && !bytes.Contains(text, []byte("\xef\xb7")) {
		return false
	}
	return bytes.ContainsFunc(text, noncharacter)
}
