package chat_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"knatter.dev/chat"
)

// A message of nothing but text takes a shorter way, which must end in the same
// place. A space in front is enough for the long way.
func FuzzOnlyText(f *testing.F) {
	for _, text := range []string{"", "hi", "안녕 😀", `\u003c`, `"`, `","replyTo":"0000000000000007`, "\\", "\x7f", "\x00", "\xff", "a\u2028b\u2029", "<&>", "\ufffd", strings.Repeat("가", chat.MaxText+1)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		short, long := sent(chat.MessagePosted, `{"text":"`+text+`"}`), sent(chat.MessagePosted, ` {"text":"`+text+`"}`)
		if !json.Valid(short.Data) || !utf8.Valid(short.Data) {
			return // no decoder lets it through
		}
		var a, b chat.Posted
		if errA, errB := short.Decode(&a), long.Decode(&b); (errA == nil) != (errB == nil) || !reflect.DeepEqual(a, b) {
			t.Fatalf("decoded to %+v (%v) and %+v (%v)", a, errA, b, errB)
		}
		errA, errB := chat.CheckSent(&short), chat.CheckSent(&long)
		if (errA == nil) != (errB == nil) || errA == nil && string(short.Data) != string(long.Data) {
			t.Fatalf("checked to %s (%v) and %s (%v)", short.Data, errA, long.Data, errB)
		}
	})
}
