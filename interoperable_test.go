package chat

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCheckJSON(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	members := func(n int, format string) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(format, i))
		}
		return "{" + strings.Join(list, ",") + "}"
	}
	const all Kind = -1 // nothing wrong
	for in, want := range map[string]Kind{
		`{}`: all, ` [ ] `: all, `""`: all, "null": all, "true": all, "0": all, "\t{\"a\" : [1 , {\"b\":false}]\r\n}": all,

		`"회의록 🎉 é"`: all, `"\ud83c\udf89"`: all, `"\\ud800"`: all, `"\uFFFD"`: all, "\"\ufffd\"": all, "\"쿾\"": all, `"\u0000"`: all, `"\uE000\uD7FF"`: all,
		`"\ud800"`: Invalid, `"\uDFFF"`: Invalid, `"\udc00\ud800"`: Invalid, `"\ud800x"`: Invalid, `"\ud800\n"`: Invalid, `"\ud800\ud800\udc00"`: Invalid, `"\ud800\u0041"`: Invalid,
		`{"\ud800":1}`: Invalid, `[[{"a":"\udbff"}]]`: Invalid,
		"\"\ufffe\"": Invalid, "\"\U0001ffff\"": Invalid, "\"\ufdd0\"": Invalid, `"\ufdef"`: Invalid, `"\ud83f\udffe"`: Invalid,

		"1e308": all, "-1.5E-300": all, "9007199254740991": all, "-9007199254740991": all, "0.1": all, "12345.678901234567": all, "1e-5": all, "0.0e5": all, "-0": all, "1e15": all,
		"1e999": Invalid, "-1e400": Invalid, "1e-400": Invalid, "9007199254740992": Invalid, "-9007199254740993": Invalid, "3.141592653589793238": Invalid,
		"123456789012345678901234567890": Invalid, strings.Repeat("7", 5001): Invalid, "0." + strings.Repeat("0", 5000) + "1": Invalid, "1." + strings.Repeat("0", 5000): Invalid,

		nested(maxDepth): all, nested(maxDepth + 1): Invalid, nested(5000): Invalid, nested(20_000): Invalid, strings.Repeat(`{"a":`, maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1): Invalid,

		`{"a":1,"b":1,"A":1}`: all, `{"a":{"a":1}}`: all, `[{"a":1},{"a":1}]`: all, members(100, `"n%d":1`): all,
		`{"a":1,"a":1}`: Invalid, `{"a":1,"\u0061":1}`: Invalid, `{"":1,"":2}`: Invalid, `[{"x":{"a":1,"b":2,"a":3}}]`: Invalid, `{"a":{"b":1},"a":2}`: Invalid,
		members(99, `"n%d":1`)[:len(members(99, `"n%d":1`))-1] + `,"n50":1}`: Invalid,

		"": Malformed, " ": Malformed, "{": Malformed, "[1,]": Malformed, `{"a":1,}`: Malformed, `{"a"}`: Malformed, `{a:1}`: Malformed, "[1 2]": Malformed, "{}{}": Malformed, "[}": Malformed, `{"a":1]`: Malformed,
		"01": Malformed, "+1": Malformed, ".5": Malformed, "1.": Malformed, "1e": Malformed, "-": Malformed, "NaN": Malformed, "Infinity": Malformed, "nul": Malformed, "truex": Malformed,
		`"`: Malformed, `"\x"`: Malformed, `"\u12"`: Malformed, `"\u12g4"`: Malformed, "\"\n\"": Malformed, "\"\x00\"": Malformed, "\x00": Malformed, "\"\xff\"": Malformed, "\"\xed\xa0\x80\"": Malformed, "\ufeff{}": Malformed,
		`["\ud800"`: Malformed, // not JSON at all comes first
	} {
		err := CheckJSON([]byte(in))
		if got := KindOf(err); want == all && err != nil || want != all && got != want {
			t.Errorf("%.60s (%d bytes): %v, want kind %d", in, len(in), err, want)
		}
	}
}

// A stranger chooses what is scanned, and must not choose how long that takes.
func TestCheckJSONOfManyNames(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"0":0`)
	for i := range 200_000 {
		fmt.Fprintf(&b, `,"n%d":0`, i)
	}
	b.WriteString("}")
	if err := CheckJSON([]byte(b.String())); err != nil {
		t.Fatal(err)
	}
}

// Strings are read eight bytes at a time where all of them are ordinary.
func TestCheckJSONOfEveryCharacter(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) || r == '"' || r == '\\' || r > 0xffff && r&0xffff > 0x100 && r&0xffff < 0xff00 {
			continue // no character, one that ends or escapes, or one as others are
		}
		around := "0123456789"[:r%11] // it stands anywhere in the eight bytes
		quoted := []byte(`"` + around + string(r) + around + `"`)
		want := map[bool]Kind{r < 0x20: Malformed, noncharacter(r): Invalid}[true]
		if err := CheckJSON(quoted); (err != nil) != (r < 0x20 || noncharacter(r)) || err != nil && KindOf(err) != want {
			t.Errorf("%q: %v", quoted, err)
		}
	}
}

// FuzzCheckJSON compares with encoding/json: what is JSON, and that nothing of what is
// let through is changed by being decoded and encoded again.
func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,"\ud83d\ude00",true,false,null,{}]}`, `"\ud800"`, "1e999", `{"a":1,"a":2}`, "[[[]]]", "01", `{"a" :1 , "b":{ } }`, "\"\ufffe\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		valid := json.Valid(b) && utf8.Valid(b)
		err := CheckJSON(b)
		if len(b) < 2*readableDepth && (KindOf(err) != Malformed || err == nil) != valid {
			t.Fatalf("%q: %v, for encoding/json it is valid: %v", b, err, valid)
		}
		if err != nil {
			return
		}
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if err := CheckJSON(again); err != nil && !strings.Contains(err.Error(), "double") { // a float may become a long integer
			t.Fatalf("%q became %q: %v", b, again, err)
		}
	})
}

func TestUnmarshalIsExact(t *testing.T) {
	type inner struct {
		Room  string `json:"room"`
		After int    `json:"after,omitzero"`
	}
	type outer struct {
		Plain  string
		UpTo   int               `json:"upTo"`
		List   []inner           `json:"list"`
		Named  map[string]*inner `json:"named"`
		Raw    json.RawMessage   `json:"raw"`
		Own    Sequence          `json:"own"`
		hidden string            //nolint:unused // to be passed over
	}
	var got outer
	in := `{"Plain":"no","plain":"yes","PLAIN":"no","upto":1,"upTo":2,"UPTO":3,"list":[{"Room":"no","room":"a"},{"room":"b","ROOM":"no","After":9}],
		"named":{"X":{"room":"c","rOOM":"no"}},"raw":{"Room":"stays"},"own":"0000000000000007","Own":"0000000000000008","Hidden":1,"\u0050lain":"no","\u0070lain":"again"}`
	if err := Unmarshal([]byte(in), &got); err != nil {
		t.Fatal(err)
	}
	if got.Plain != "again" || got.UpTo != 2 || got.Own != 7 || string(got.Raw) != `{"Room":"stays"}` ||
		fmt.Sprint(got.List) != "[{a 0} {b 0}]" || *got.Named["X"] != (inner{Room: "c"}) {
		t.Errorf("got %+v", got)
	}
	if got := in; !strings.Contains(got, "PLAIN") {
		t.Error("the input was changed")
	}
	for _, bad := range []string{"", "{", `{"plain":1}`, `{"list":{}}`} {
		if Unmarshal([]byte(bad), &got) == nil {
			t.Errorf("%s is read", bad)
		}
	}
}

// FuzzUnmarshal compares with encoding/json on names that are right already.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"text":"a","replyTo":"0000000000000007","mentions":["a"],"attachments":[{}]}`))
	f.Add([]byte(`{"Text":"a","text":"b","TEXT":5}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var exact, folded Posted
		err, foldedErr := Unmarshal(b, &exact), json.Unmarshal(b, &folded)
		if strings.Contains(strings.ToLower(string(b)), `\`) {
			return
		}
		for _, name := range []string{"text", "replyTo", "mentions", "attachments"} {
			if strings.Count(strings.ToLower(string(b)), strings.ToLower(name)) != strings.Count(string(b), name) {
				return
			}
		}
		if strings.ContainsAny(string(b), "\u017f\u212a") { // which encoding/json takes for s and k
			return
		}
		if (err == nil) != (foldedErr == nil) || err == nil && fmt.Sprint(exact) != fmt.Sprint(folded) {
			t.Fatalf("%q: %+v, %v; encoding/json has %+v, %v", b, exact, err, folded, foldedErr)
		}
	})
}
