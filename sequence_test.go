package chat_test

import (
	"encoding/json"
	"math"
	"testing"

	"knatter.dev/chat"
)

func TestSequence(t *testing.T) {
	s := chat.SequenceAt(3, 12345)
	if s.Generation() != 3 || s.Offset() != 12345 {
		t.Errorf("%d is generation %d, offset %d", s, s.Generation(), s.Offset())
	}
	if got := chat.Sequence(7).String(); got != "0000000000000007" {
		t.Errorf("got %s", got)
	}
	// The order of strings is the order of the room, over generations too, and a
	// sequence is exact in a double.
	list := []chat.Sequence{0, 1, 9, 10, 1<<48 - 1, chat.SequenceAt(1, 0), chat.SequenceAt(1, 1), chat.SequenceAt(31, 1<<48-1)}
	for i, s := range list {
		back, err := chat.ParseSequence(s.String())
		if err != nil || back != s {
			t.Errorf("%s is read as %d, %v", s, back, err)
		}
		if int64(math.Round(float64(s))) != int64(s) {
			t.Errorf("%d is not exact in a double", s)
		}
		if i > 0 && (s <= list[i-1] || s.String() <= list[i-1].String()) {
			t.Errorf("%s is not after %s", s, list[i-1])
		}
	}
}

func TestParseSequenceRefuses(t *testing.T) {
	for _, in := range []string{"", "7", "000000000000007", "00000000000000007", "+000000000000007", "-000000000000007", "0x00000000000007", "00000000_0000007", "9007199254740992", "9999999999999999", "٠٠٠٠٠٠٠٠"} {
		if s, err := chat.ParseSequence(in); chat.KindOf(err) != chat.Invalid {
			t.Errorf("%q is read as %d, %v, want Invalid", in, s, err)
		}
	}
}

func TestSequenceInJSON(t *testing.T) {
	b, err := json.Marshal(map[string]chat.Sequence{"upTo": chat.SequenceAt(0, 7)})
	if err != nil || string(b) != `{"upTo":"0000000000000007"}` {
		t.Errorf("got %s, %v", b, err)
	}
	var d chat.ReadData
	if err := json.Unmarshal(b, &d); err != nil || d.UpTo != 7 {
		t.Errorf("got %d, %v", d.UpTo, err)
	}
}
