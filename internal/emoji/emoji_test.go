package emoji_test

import (
	"testing"

	"knatter.dev/chat/internal/emoji"
)

func TestQualify(t *testing.T) {
	for in, want := range map[string]string{
		"👍": "👍", "👍🏽": "👍🏽", "❤": "❤️", "❤️": "❤️", "☺": "☺️", "©": "©️", "1⃣": "1️⃣", "1️⃣": "1️⃣", "🇰🇷": "🇰🇷",
		"👨‍👩‍👧‍👦": "👨‍👩‍👧‍👦", "🏳‍🌈": "🏳️‍🌈", "🏳️‍🌈": "🏳️‍🌈", "👁‍🗨": "👁️‍🗨️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿": "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "⛓‍💥": "⛓️‍💥", "🫩": "🫩", "🏻": "🏻",
		"": "", "a": "", "1": "", "👍👍": "", "👍 ": "", " 👍": "", "🇰": "", "❤️️": "", "\ufe0f": "", "👍\ufe0f": "👍", "❤︎": "", "ㅋ": "", "👍\u200d": "", "🇰🇷🇰🇷": "",
	} {
		got, ok := emoji.Qualify(in)
		if got != want || ok != (want != "") {
			t.Errorf("%+q is %+q, %t; want %+q", in, got, ok, want)
		}
	}
}
