package names

import (
	"regexp"
	"strings"
	"testing"

	"knatter.dev/chat"
)

func TestNewIDs(t *testing.T) {
	for name, c := range map[string]struct{ got, want string }{
		"user":    {string(NewUser()), `^[0-9a-hjkmnp-tv-z]{16}$`},
		"session": {NewSession(), `^[0-9a-hjkmnp-tv-z]{26}$`},
		"room":    {string(NewRoom()), `^([0-9a-hjkmnp-tv-z]{4}-){2}[0-9a-hjkmnp-tv-z]{4}$`},
		"direct":  {string(Direct("a", "b")), `^d-[0-9a-f]{20}$`},
	} {
		if !regexp.MustCompile(c.want).MatchString(c.got) {
			t.Errorf("%s %q, want %s", name, c.got, c.want)
		}
	}
	seen := make(map[chat.RoomID]bool)
	for range 1000 {
		id := NewRoom()
		if seen[id] {
			t.Fatalf("%s twice", id)
		}
		seen[id] = true
	}
}

func TestDirectIsOfTwo(t *testing.T) {
	if Direct("a", "b") != Direct("b", "a") {
		t.Error("the order matters")
	}
	if Direct("a", "b") == Direct("a", "c") || Direct("ab", "c") == Direct("a", "bc") {
		t.Error("different pairs share a room")
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"민지":                    "민지",
		"  Ana María ":          "Ana María",
		"\u1106\u1175\u11ab지":   "민지", // decomposed
		"👩‍👩‍👧":                 "👩‍👩‍👧",
		strings.Repeat("가", 8):  strings.Repeat("가", 8),
		"":                      "",
		" \t\n":                 "",
		"\u200b":                "",
		strings.Repeat("가", 33): "",
		"a\nb":                  "",
		"a\x00":                 "",
		"a\u2028b":              "",
		"\u202egnp.exe":         "",
	} {
		got, err := Clean("nickname", in, 32)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Clean(%q) = %q, %v; want %q", in, got, err, want)
		}
		if err != nil && chat.KindOf(err) != chat.Invalid {
			t.Errorf("Clean(%q): kind of %v", in, err)
		}
	}
}
