package chat

import "encoding/json"

// members calls f with each member of the JSON object b, as it stands in b. It
// reads what [CheckJSON] has passed, so it looks for the ends of things only:
// every frame of every client comes through here, and decoding into a map takes
// more than twice the time and the allocations.
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

// walk calls f with each member of the object b, or with each element of the array b
// and no name. Both lie in b.
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

// valueEnd is the index after the value that begins at i.
func valueEnd(b []byte, i int) int {
	for depth := 0; ; i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
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
