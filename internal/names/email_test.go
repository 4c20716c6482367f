package names

import (
	"net/mail"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"knatter.dev/chat"
)

func TestEmail(t *testing.T) {
	for typed, want := range map[string]string{
		" Alice@Example.com ":              "Alice@Example.com",
		"al\u200bice@example.com":          "alice@example.com",
		"al\u00adice@example.com":          "alice@example.com",
		"\ufeffalice@example.com\u200b":    "alice@example.com",
		"ａｌｉｃｅ＠ｅｘａｍｐｌｅ．ｃｏｍ":                "alice@example.com",
		"alice@example。com":                "alice@example.com",
		"alice@ex\u00adample.com":          "alice@example.com",
		"alice@Bücher.example":             "alice@bücher.example",
		"alice@XN--BCHER-KVA.example":      "alice@XN--BCHER-KVA.example",
		"민지@한국.kr":                         "민지@한국.kr",
		"\u1106\u1175\u11ab지@example.com":  "민지@example.com",
		"a+b@ab--cd.example":               "a+b@ab--cd.example",
		"a@a_b.example":                    "a@a_b.example",
		"🦊@example.com":                    "🦊@example.com",
		"a@[127.0.0.1]":                    "a@[127.0.0.1]",
		"":                                 "",
		"alice":                            "",
		"@example.com":                     "",
		"\u200b@example.com":               "",
		"\u3164@example.com":               "",
		"\u2800@example.com":               "",
		"\u0301@example.com":               "",
		"al\u2800ice@example.com":          "",
		"al\u3000ice@example.com":          "",
		"al\u2028ice@example.com":          "",
		"al\u0085ice@example.com":          "",
		"al\U000f0000ice@example.com":      "",
		"al（ice@example.com":               "",
		"alice@example.com。":               "",
		"alice@xn--a":                      "",
		"alice@xn--":                       "",
		"alice@xn--example-.com":           "",
		"alice@ex\u202eample.com":          "",
		"alice@ex\U000e0061ample.com":      "",
		"alice@bob@example.com":            "",
		"Alice <alice@example.com>":        "",
		strings.Repeat("ﷺ", 20) + "@b.com": "",
	} {
		got, err := Email(typed)
		if got != want || (err == nil) != (want != "") || err != nil && chat.KindOf(err) != chat.Invalid {
			t.Errorf("Email(%q) = %q, %v; want %q", typed, got, err, want)
		}
		if _, err := SoughtEmail(typed); want != "" && err != nil {
			t.Errorf("SoughtEmail(%q): %v", typed, err)
		}
	}
}

// What was an address before still is one when an account is looked for.
func TestSoughtEmail(t *testing.T) {
	for typed, want := range map[string]string{
		" alice@xn--a ":           "alice@xn--a",
		"al\u2800ice@example.com": "al\u2800ice@example.com",
		"\u200b@example.com":      "\u200b@example.com",
		"a\u0301@example.com":     "á@example.com",
	} {
		got, err := SoughtEmail(typed)
		if got != want || err != nil {
			t.Errorf("SoughtEmail(%q) = %q, %v; want %q", typed, got, err, want)
		}
	}
}

func TestEmailKey(t *testing.T) {
	for key, spellings := range map[string][]string{
		"alice@example.com": {
			"Alice@Example.com", " ALICE@EXAMPLE.COM ", "al\u200bice@example.com", "al\u00adice@example.com",
			"al\u200cice@example.com", "al\u200dice@example.com", "al\u2060ice@example.com", "al\ufeffice@example.com",
			"al\ufe0fice@example.com", "al\u034fice@example.com", "al\u061cice@example.com", "al\u202eice@example.com",
			"al\u3164ice@example.com", "al\uffa0ice@example.com", "al\u115fice@example.com", "al\u180eice@example.com",
			"al\U000e0061ice@example.com", "al\U000e0100ice@example.com", "al\u2064ice@example.com",
			"ａｌｉｃｅ@example.com", "ＡＬＩＣＥ＠ｅｘａｍｐｌｅ．ｃｏｍ", "𝐚𝐥𝐢𝐜𝐞@example.com", "ⓐlice@example.com",
			"alıce@example.com", "alİce@example.com", "ali\u0307ce@example.com",
			"alice@example。com", "alice@example｡com", "alice@example.com.", "alice@ex\u200bample.com", "alice@ex\u00adample.com", "alice@ｅｘａｍｐｌｅ.com",
		},
		"alice@bücher.example": {
			"alice@BÜCHER.example", "alice@bu\u0308cher.example", "alice@xn--bcher-kva.example", "alice@XN--BCHER-KVA.Example", "alice@xn--BCHER-kva.EXAMPLE",
		},
		"민지@한국.kr":              {"\u1106\u1175\u11ab지@한국.kr", "민지@xn--3e0b707e.kr"},
		"strasse@example.com":   {"straße@example.com", "STRASSE@example.com", "STRAẞE@example.com", "ſtrasse@example.com"},
		"σίσυφοσ@example.com":   {"Σίσυφος@example.com", "ΣΊΣΥΦΟΣ@example.com"},
		"find@example.com":      {"ﬁnd@example.com"},
		"a@faß.de":              {"a@xn--fa-hia.de"},
		"a@fass.de":             {"a@FASS.de"},
		"a@i.example":           {"a@ı.example", "a@İ.example", "a@xn--cfa.example", "a@xn--i-9bb.example"},
		"a@straße.example":      {"a@STRAẞE.example", "a@xn--strae-oqa.example"},
		"a@a_b.example":         {"A@A_B.example"},
		"a@ab--cd.example":      {"A@AB--CD.example"},
		"a@xn--a":               {"A@XN--A"},
		"café@example.com":      {"cafe\u0301@example.com", "CAFÉ@example.com"},
		"a.lice@example.com":    {"a．lice@example.com"},
		"alice@example.co":      {"alice@example.co"},
		"alice+tag@example.com": {"ALICE＋tag@example.com"},
		"":                      {"", " ", "\u200b"},
	} {
		for _, spelling := range append(spellings, key) {
			if got := EmailKey(spelling); got != key {
				t.Errorf("EmailKey(%q) = %q, want %q", spelling, got, key)
			}
		}
	}
}

// Of every letter, on both sides of the @, all spellings have one key.
func TestEmailKeyOfAllLetters(t *testing.T) {
	for c := rune(' '); c <= unicode.MaxRune; c++ {
		if c == '@' || !unicode.IsGraphic(c) && !isIgnorable(c) {
			continue
		}
		if unicode.Is(unicode.Lo, c) && norm.NFKC.IsNormalString(string(c)) && c%50 != 0 {
			continue // without case, and many: some do
		}
		for _, email := range []string{"x" + string(c) + "y@example.com", "x@a" + string(c) + "b.example"} {
			key := EmailKey(email)
			others := []string{key, EmailKeyBefore(email), strings.ToUpper(email), strings.ToLower(email)}
			if made, err := Email(email); err == nil {
				others = append(others, made)
			}
			if local, domain := cutEmail(email); c > unicode.MaxASCII && c != 'ẞ' {
				if ascii, err := idna.Lookup.ToASCII(norm.NFKC.String(domain)); err == nil {
					others = append(others, local+"@"+ascii)
				}
			}
			for _, other := range others {
				if got := EmailKey(other); got != key {
					t.Errorf("%q (%U): key %q, of %q it is %q", email, c, key, other, got)
				}
			}
		}
	}
}

func FuzzEmail(f *testing.F) {
	for _, seed := range []string{"Alice@Example.com", "al\u200bice@xn--bcher-kva.example", "ａ＠İ。ß", "\"a b\"@c", "a\u0345@b\u0301"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		made, err := Email(typed)
		if err != nil {
			return
		}
		if parsed, err := mail.ParseAddress(made); err != nil || parsed.Address != made {
			t.Fatalf("%q: made %q of it, which is no address: %v", typed, made, err)
		}
		if again, err := Email(made); err != nil || again != made {
			t.Fatalf("%q: %q, and of that %q, %v", typed, made, again, err)
		}
		if EmailKey(typed) != EmailKey(made) {
			t.Fatalf("%q has key %q, %q has %q", typed, EmailKey(typed), made, EmailKey(made))
		}
	})
}
