package names

import (
	"errors"
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

func TestCleanSaysWhy(t *testing.T) {
	for name, want := range map[string]string{
		" ":                     "nickname-too-short",
		strings.Repeat("가", 33): "nickname-too-long",
		strings.Repeat("é", 33): "nickname-too-long",
		"a\nb":                  "nickname-control-characters",
		"\u202ea":               "nickname-control-characters",
		"\u3164":                "nickname-invisible",
		"\u0301":                "nickname-invisible",
	} {
		_, err := Clean("nickname", name, 32)
		if got, ok := errors.AsType[*chat.Error](err); !ok || got.Kind != chat.Invalid || got.Reason != want {
			t.Errorf("Clean(%q): %#v, want %s", name, err, want)
		}
	}
}

// A name needs something that is seen.
func TestCleanWantsSomethingVisible(t *testing.T) {
	for what, blank := range map[string]string{
		"whitespace":           " \t\u00a0\u1680\u2000\u2003\u2007\u200a\u202f\u205f\u3000\u0085",
		"Hangul fillers":       "\u115f\u1160\u3164\uffa0",
		"blank symbols":        "\u2800\ufffc\U0001d159\U00013441\U00013442",
		"combining marks":      "\u0301\u0308\u0903\u093f\u20dd\u20e3\u302a\u3099\u17b4\u17b5",
		"variation selectors":  "\ufe00\ufe0e\ufe0f\u180b\u180f\U000e0100\U000e01ef",
		"joiners and the like": "\u00ad\u034f\u180e\u200b\u200c\u200d\u2060\u2064\u206a\u206f\ufeff\ufff9\u2065\ufff0",
		"tags":                 "\U000e0001\U000e0020\U000e0061\U000e007f",
		"musical controls":     "\U0001d173\U0001d17a\U0001bca0",
		"direction":            "\u061c\u200e\u200f\u202a\u202e\u2066\u2069",
		"lines and controls":   "\n\r\u2028\u2029\x00\x1b\x7f",
		"nobody's":             "\ue000\U000f0000\uffff\ufdd0\u0378",
	} {
		for _, c := range blank {
			for _, name := range []string{string(c), strings.Repeat(string(c), 3), " " + string(c) + "\ufe0f\u0301"} {
				if got, err := Clean("nickname", name, 32); chat.KindOf(err) != chat.Invalid {
					t.Errorf("%s: Clean(%q) = %q, %v", what, name, got, err)
				}
			}
		}
		if got, err := Clean("name", blank, 64); chat.KindOf(err) != chat.Invalid {
			t.Errorf("%s: Clean(%q) = %q, %v", what, blank, got, err)
		}
	}
	for _, name := range []string{
		"a", "é", "e\u0301", "7", "½", "Ⅳ", "_", ".", "…", "$", "+", "¨", "ㅋ", "ㅠㅠ", "ﾡ", "김", "你", "ب", "क\u094d\u200dष",
		"☺", "☺\ufe0f", "👩‍👩‍👧", "🇰🇷", "🏴\U000e0067\U000e0062\U000e007f", "1\ufe0f\u20e3", "👍🏽", "⠁", "\U0001fae9", "a\u3164", "\u3164a",
	} {
		if _, err := Clean("nickname", name, 32); err != nil {
			t.Errorf("Clean(%q): %v", name, err)
		}
	}
	_, err := Clean("nickname", "\u3164", 32)
	if want := "nickname must have a character that can be seen"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}
