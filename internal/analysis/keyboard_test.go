package analysis

import "testing"

func TestOtherKeyboard(t *testing.T) {
	for _, tt := range []struct {
		query, other string
		known        bool
	}{
		{"ghldmlfhr", "회의록", true},
		{"GHLDMLFHR", "회의록", true},
		{"Ghldmlfhr", "회의록", true},
		{"rhddb ghldmlfhr", "공유 회의록", true},
		{"ghldmlfhrdmf!", "회의록을!", true},
		{`"ghldmlfhr rhddb"`, `"회의록 공유"`, true},
		{"RkWkr", "까짝", false},
		{"gkrry", "학교", true},
		{"dkfrk", "알가", true},
		{"qkfrdms", "밝은", false},
		{"rhksfl", "관리", true},
		{"dnjfrmq", "월급", true},
		{"dkssudgktpdyzzz", "안녕하세요ㅋㅋㅋ", true},
		{"qkq", "밥", false},
		{"zzz", "ㅋㅋㅋ", false},
		{"3cmd", "3층", false},
		{"ㅗ디ㅣㅐ", "hello", true},
		{"ㅅㅁ나", "task", true},
		{"햐소ㅕㅠ", "github", true},
		{"노ㅕㅅ", "shut", true},
	} {
		other, known, ok := OtherKeyboard(tt.query)
		if !ok || other != tt.other || known != tt.known {
			t.Errorf("%q: %q, known %t, ok %t; want %q, %t", tt.query, other, known, ok, tt.other, tt.known)
		}
	}
	for _, query := range []string{"task", "hello", "the quick", "ㅎㅇㄹ", "ㅋㅋㅋ", "ㅠㅠ", "ㅇㅋ", "2026", "🎉", "", "go언어", "회의록 github"} {
		if other, known, ok := OtherKeyboard(query); ok && known {
			t.Errorf("%q: %q", query, other)
		}
	}
}
