package chat

import (
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzMembers compares with encoding/json.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{
		"{}", " { } ", `{"a":1}`, `{"a":1,"a":2,"":3}`, "{\n\"a\" : [ {\"b\":\"]}\\\"\\\\\"} , -1e5 ] ,\t\"c\":null\r}", `{"a":"\u0022","\u0061":true}`,
		`{"a":-0.5e+3}`, `{"a":{}}`, `{"a":[],"b":""}`, "[]", "1", "\"{\"", "null", `{"\\":"\\\\","\"":"\""}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !json.Valid(b) {
			return
		}
		var want map[string]json.RawMessage
		err := json.Unmarshal(b, &want)
		got := make(map[string]json.RawMessage)
		gotErr := members(b, func(name string, value json.RawMessage) error {
			var normal string // names that are no UTF-8 are not members' to mend
			quoted, err := json.Marshal(name)
			if err == nil {
				err = json.Unmarshal(quoted, &normal)
			}
			got[normal] = value
			return err
		})
		if isNull := want == nil && err == nil; (err != nil || isNull) != (gotErr != nil) {
			t.Fatalf("%q: got %v, want %v", b, gotErr, err)
		}
		if gotErr == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %s, want %s", b, got, want)
		}
	})
}
