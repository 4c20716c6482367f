package analysis

import "testing"

// TestFolds: what differs in marks, case, width, grouping of digits and the like is
// found both ways, and the exact spelling no better.
func TestFolds(t *testing.T) {
	for _, same := range [][]string{
		{"cafe", "Café", "CAFÉ", "cafe\u0301", "ｃａｆé"},
		{"tieng viet", "tiếng Việt", "TIẾNG VIỆT"},
		{"da nang", "Đà Nẵng"},
		{"елка", "ёлка", "Ёлка", "е\u0308лка"},
		{"istanbul", "İstanbul", "ISTANBUL", "ıstanbul", "I\u0307stanbul"},
		{"strasse", "Straße", "STRASSE", "STRAẞE"},
		{"οδος", "ΟΔΟΣ", "οδοσ", "Οδός"},
		{"μαιος", "Μάϊος"},
		{"محمد", "مُحَمَّد", "محـــمد"},
		{"الاسلام", "الإسلام"},
		{"مدرسه", "مدرسة"},
		{"שלום", "שָׁלוֹם"},
		{"smorrebrod", "Smørrebrød"},
		{"lodz", "Łódź"},
		{"naive", "naïve"},
		{"aeon", "Æon"},
		{"1000원", "1,000원", "１，０００원"},
		{"1234567", "1,234,567"},
		{"1000km", "1,000km"},
		{"1,000.50", "1000.50"},
		{"01012345678", "010-1234-5678", "010‐1234‐5678", "010.1234.5678", "010 1234 5678"},
		{"021234567", "02-123-4567", "(02) 123-4567", "02)123-4567"},
		{"1588-1234", "15881234"},
		{"ㅋㅋㅋ", "ﾻﾻﾻ", "\u110f\u110f\u110f"},
		{"ㄱㅅ", "ㄳ"},
		{"ㅂㅅ", "ㅄ"},
	} {
		for _, text := range same {
			for _, query := range same {
				if !found(indexed("앞 "+text+" 뒤"), query) {
					t.Errorf("%+q is not found by %+q: terms %q, words %q", text, query, Terms(text), Words(query))
				}
				if _, all := Parse(query).Match("앞 " + text + " 뒤"); !all {
					t.Errorf("%+q does not match %+q", text, query)
				}
			}
		}
	}
}

// TestFoldsNot: what only looks as if it were the same.
func TestFoldsNot(t *testing.T) {
	for _, tt := range []struct{ text, query string }{
		{"ㅋㅋㅋㅠㅠ", "큐"},
		{"큐", "ㅋㅠ"},
		{"ㄱㅏ", "가"},
		{"오빠ㄳ", "빣"},
		{"мой", "мои"},
		{"її", "іі"},
		{"が", "か"},
		{"हिन्दी", "हन्द"},
		{"3-4명", "34명"},
		{"1, 000원", "1000원"},
		{"1,2,3", "123"},
		{"10,00", "1000"},
		{"3.14", "314"},
		{"2:30", "230"},
		{"제1,000호", "000호가"},
	} {
		if _, all := Parse(tt.query).Match(tt.text); all {
			t.Errorf("%q matches %q: %s", tt.text, tt.query, marked(t, tt.text, tt.query))
		}
	}
}

// TestMarks: highlights cover what matched, whole characters of the text.
func TestMarks(t *testing.T) {
	for _, tt := range []struct{ text, query, marked string }{
		{"ㅋㅋㅋㅠㅠ 너무 웃겨", "ㅠㅠ", "ㅋㅋㅋ[ㅠㅠ] 너무 웃겨"},
		{"ㅋㅋㅋㅠㅠ 너무 웃겨", "ㅋㅋㅋ", "[ㅋㅋㅋ]ㅠㅠ 너무 웃겨"},
		{"ㅋㅋㅋㅠㅠ 너무 웃겨", "ㅋㅠ", "ㅋㅋ[ㅋㅠ]ㅠ 너무 웃겨"},
		{"오빠ㄳ", "오빠", "[오빠]ㄳ"},
		{"오빠ㄳ", "ㄳ", "오빠[ㄳ]"},
		{"오빠ㄳ", "ㄱㅅ", "오빠[ㄳ]"},
		{"오빠ㄳ", "오빠ㄳ", "[오빠ㄳ]"},
		{"그래ㅋㅋ알았어", "알았어", "그래ㅋㅋ[알았어]"},
		{"㈜카카오", "주", "[㈜]카카오"},
		{"🎉㈜카카오", "카카오", "🎉㈜[카카오]"},
		{"½컵", "1/2", "[½]컵"},
		{"½컵", "1/2컵", "[½컵]"},
		{"½컵", "2", "[½]컵"},
		{"5㎞ 달리기", "km", "5㎞ 달리기"},
		{"5㎞ 달리기", "5km", "[5㎞] 달리기"},
		{"㋿ 원년", "令和", "[㋿] 원년"},
		{"ﬁne day", "fi", "[ﬁ]ne day"},
		{"값은 1,000원", "1000", "값은 [1,000]원"},
		{"값은 1,000원", "1000원", "값은 [1,000원]"},
		{"값은 1,000원", "10", "값은 [1,0]00원"},
		{"전화 010-1234-5678로", "01012345678", "전화 [010-1234-5678]로"},
		{"전화 010-1234-5678로", "0101234", "전화 [010-1234]-5678로"},
		{"전화 010-1234-5678로", "12345678", "전화 010-[1234-5678]로"},
		{"전화 010-1234-5678로", "5678", "전화 010-1234-[5678]로"},
		{"🎉 Café\u0301 ☕", "cafe", "🎉 [Café\u0301] ☕"},
		{"Straße", "strass", "[Straß]e"},
	} {
		if got := marked(t, tt.text, tt.query); got != tt.marked {
			t.Errorf("%q by %q: highlighted %q, want %q", tt.text, tt.query, got, tt.marked)
		}
	}
}

func TestLeads(t *testing.T) {
	for _, tt := range []struct{ text, query, marked string }{
		{"회의록을 공유해 주세요", "ㅎㅇㄹ", "[회의록]을 공유해 주세요"},
		{"회의록을 공유해 주세요", "ㅎㅇ", "[회의]록을 공유해 주세요"},
		{"회의록을 공유해 주세요", "ㅎㅇㄹㅇ", "[회의록을] 공유해 주세요"},
		{"회의록을 공유해 주세요", "ㅎㅇㄹ ㄱㅇ", "[회의록]을 [공유]해 주세요"},
		{"국회의원이 왔다", "ㅇㅇ", "국회[의원]이 왔다"},
		{"감사합니다", "ㄳ", "[감사]합니다"},
		{"go언어", "ㅇㅇ", "go[언어]"},
		{"깜짝 놀랐다", "ㄲㅉ", "[깜짝] 놀랐다"},
		{"ㅋㅋㅋ 쿠키", "ㅋㅋ", "[ㅋㅋㅋ] [쿠키]"},
	} {
		if !found(indexed(tt.text), tt.query) {
			t.Errorf("%q is not found by %q: terms %q, words %q", tt.text, tt.query, Terms(tt.text), Words(tt.query))
		}
		if got := marked(t, tt.text, tt.query); got != tt.marked {
			t.Errorf("%q by %q: highlighted %q, want %q", tt.text, tt.query, got, tt.marked)
		}
	}
	for _, tt := range []struct{ text, query string }{
		{"회의록을 공유해 주세요", "ㅎ"},      // one letter is itself only
		{"회의록을 공유해 주세요", "ㅇㄹㅇ"},    // not the middle of a word
		{"회의 록밴드", "ㅎㅇㄹ"},          // not over two words
		{"회의록", "ㅎㅇㄹㅇ"},            // longer than the word
		{"깜짝 놀랐다", "ㄱㅈ"},           // ㄲ is another letter
		{"회의록", "ㅏㅏ"},              // vowels are themselves
		{"회의록을 공유해 주세요", "회ㅇㄹ"},    // with syllables they are too
		{"회의록을 공유해 주세요", "ㅎㅇㄹ ㅂㅂ"}, // one word of two
	} {
		if _, all := Parse(tt.query).Match(tt.text); all {
			t.Errorf("%q matches %q: %s", tt.text, tt.query, marked(t, tt.text, tt.query))
		}
	}
}

func TestPhrases(t *testing.T) {
	for _, tt := range []struct{ text, query, marked string }{
		{"the Dev Task is done", `"Dev Task"`, "the [Dev] [Task] is done"},
		{"the dev-task is done", `"Dev Task"`, "the [dev]-[task] is done"},
		{"Task for Dev, Dev Task", `"dev task"`, "Task for Dev, [Dev] [Task]"},
		{"running late today", `"run late"`, "[run]ning [late] today"},
		{"회의록을 공유해 주세요", `"회의록 공유"`, "[회의록]을 [공유]해 주세요"},
		{"회의록을 공유해 주세요", `“회의록 공유”`, "[회의록]을 [공유]해 주세요"},
		{"회의록을 공유해 주세요", `"회의록" 주세요`, "[회의록]을 공유해 [주세요]"},
		{"어제 회의록ㅋㅋ 공유했어요!", `"회의록 공유"`, "어제 [회의록]ㅋㅋ [공유]했어요!"},
		{"데이터베이스", `"데이터 베이스"`, "[데이터베이스]"},
		{"a b c a b", `"a b" c`, "[a] [b] [c] [a] [b]"},
		{"Dev Task", `"Dev Task`, "[Dev] [Task]"}, // not closed
		{`27" monitor 30"`, `27" 30"`, `[27]" monitor [30]"`},
	} {
		if !found(indexed(tt.text), tt.query) {
			t.Errorf("%q is not found by %q", tt.text, tt.query)
		}
		if got := marked(t, tt.text, tt.query); got != tt.marked {
			t.Errorf("%q by %q: highlighted %q, want %q", tt.text, tt.query, got, tt.marked)
		}
	}
	for _, tt := range []struct{ text, query string }{
		{"Task for Dev", `"Dev Task"`},
		{"Dev or Task", `"Dev Task"`},
		{"공유할 회의록", `"회의록 공유"`},
		{"회의록을 빨리 공유해", `"회의록 공유"`},
		{"회의록공유를 자료", `"회의록 자료"`},
		{"Dev Task", `"Dev Task" more`},
		{"a b, b c", `"a b c"`},
		{"무엇이든", `""`},
	} {
		if _, all := Parse(tt.query).Match(tt.text); all {
			t.Errorf("%q matches %q: %s", tt.text, tt.query, marked(t, tt.text, tt.query))
		}
	}
}
