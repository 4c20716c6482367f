package analysis

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"knatter.dev/chat"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// indexed is what the index knows of a text.
func indexed(text string) map[string]bool {
	terms := make(map[string]bool)
	for _, term := range Terms(text) {
		terms[term] = true
	}
	return terms
}

// found reports whether the index would give the text with these terms.
func found(terms map[string]bool, query string) bool {
	words := Words(query)
	for _, word := range words {
		if !slices.ContainsFunc(word.Any, func(all []string) bool {
			return !slices.ContainsFunc(all, func(term string) bool { return !terms[term] })
		}) {
			return false
		}
	}
	return len(words) > 0
}

// marked is the text with its highlights in brackets.
func marked(t testing.TB, text, query string) string {
	t.Helper()
	units := utf16.Encode([]rune(text))
	var b strings.Builder
	at := 0
	for _, r := range Highlights(text, query) {
		if r[0] < at || r[0] >= r[1] || r[1] > len(units) {
			t.Fatalf("Highlights(%q, %q): range %v after %d of %d", text, query, r, at, len(units))
		}
		b.WriteString(string(utf16.Decode(units[at:r[0]])))
		b.WriteString("[" + string(utf16.Decode(units[r[0]:r[1]])) + "]")
		at = r[1]
	}
	b.WriteString(string(utf16.Decode(units[at:])))
	return b.String()
}

func TestFinds(t *testing.T) {
	tests := []struct{ text, query, marked string }{
		// Any part of a word.
		{"회의록을 공유해 주세요", "회의록", "[회의록]을 공유해 주세요"},
		{"회의록을 공유해 주세요", "회의", "[회의]록을 공유해 주세요"},
		{"회의록을 공유해 주세요", "공유", "회의록을 [공유]해 주세요"},
		{"회의록을 공유해 주세요", "의록", "회[의록]을 공유해 주세요"},
		{"회의록을 공유해 주세요", "공유해", "회의록을 [공유해] 주세요"},
		{"회의록을 공유해 주세요", "록", "회의[록]을 공유해 주세요"},
		{"회의록을 공유해 주세요", "주세", "회의록을 공유해 [주세]요"},
		{"회의록을 공유해 주세요", "공유 회의록", "[회의록]을 [공유]해 주세요"},

		// Other particles, other inflections.
		{"회의록을 공유해 주세요", "회의록이", "[회의록]을 공유해 주세요"},
		{"회의록을 공유해 주세요", "공유했습니다", "회의록을 [공유]해 주세요"},
		{"어제 친구를 만났어요", "만나다", "어제 친구를 [만났]어요"},
		{"어제 친구를 만났어요", "만나", "어제 친구를 [만났]어요"},
		{"친구를 만나고 싶다", "만났어요", "친구를 [만나]고 싶다"},
		{"집에 갔다", "가다", "집에 [갔]다"},
		{"친구가 벌써 왔습니다!", "오다", "친구가 벌써 [왔]습니다!"},
		{"공원을 걸었다", "걷다", "공원을 [걸]었다"},
		{"날이 추웠습니다", "춥다", "날이 [추웠]습니다"},
		{"노래를 불렀어", "부르다", "노래를 [불렀]어"},
		{"정말 예뻐요", "예쁘다", "정말 [예뻐요]"},
		{"매일 공부합니다", "공부하다", "매일 [공부]합니다"},
		{"매일 공부합니다", "공부했어", "매일 [공부]합니다"},
		{"밥을 먹었다", "밥먹었어", "[밥을 먹]었다"},

		// A space where the query has none, also where the words are read otherwise then.
		{"헌법재판소 재판관은 정당에", "헌법재판소재판관", "[헌법재판소 재판관]은 정당에"},
		{"불가능한 때에 한하여", "때에한하여", "불가능한 [때에 한하여]"},
		{"국가안전보장 회의를", "국가안전보장회의", "[국가안전보장 회의]를"},

		// Compounds, written together or not.
		{"데이터베이스를 봤다", "데이터", "[데이터]베이스를 봤다"},
		{"데이터베이스를 봤다", "베이스", "데이터[베이스]를 봤다"},
		{"데이터 베이스를 봤다", "데이터베이스", "[데이터 베이스]를 봤다"},

		// English and other alphabets.
		{"They are running late", "run", "They are [run]ning late"},
		{"They are running late", "RUNS", "They are [running] late"},
		{"I run", "running", "I [run]"},
		{"Welcome to Knatter!", "knatt", "Welcome to [Knatt]er!"},
		{"See extraordinarily", "extraordin", "See [extraordin]arily"},
		{"STRASSE und Straße", "straße", "[STRASSE] und [Straße]"},
		{"Привет, мир", "ПРИВЕТ", "[Привет], мир"},
		{"see knatter.dev/chat", "knatter.dev", "see [knatter.dev]/chat"},
		{"version 2.10 is out", "2.10", "version [2.10] is out"},

		// Scripts without spaces.
		{"東京都庁へ行く", "東京", "[東京]都庁へ行く"},
		{"東京都庁へ行く", "都庁へ", "東京[都庁へ]行く"},
		{"東京都庁へ行く", "行", "東京都庁へ[行]く"},
		{"コーヒーを飲む", "ｺｰﾋｰ", "[コーヒー]を飲む"},
		{"สวัสดีครับ", "สวัสดี", "[สวัสดี]ครับ"},

		// Several scripts in one word.
		{"go언어를 배운다", "go언어", "[go언어]를 배운다"},
		{"GO 언어를 배운다", "go언어는", "[GO 언어]를 배운다"},
		{"2024년 3월에 만나", "3월", "2024년 [3월]에 만나"},

		// One form for what looks alike.
		{norm.NFD.String("회의록을 공유"), "의록", norm.NFD.String("회[의록]을 공유")},
		{"회의록", norm.NFD.String("회의"), "[회의]록"},
		{"Ｋｎａｔｔｅｒ ｶﾞｽ", "knatter ガス", "[Ｋｎａｔｔｅｒ] [ｶﾞｽ]"},
		{"cafe\u0301 déjà", "CAFÉ", "[cafe\u0301] déjà"},
		{"ﬁne ㎒", "mhz", "ﬁne [㎒]"},

		// Emoji count as two UTF-16 code units, or more.
		{"🎉🎉 축하해요 👩‍💻", "축하", "🎉🎉 [축하]해요 👩‍💻"},
		{"좋아 ❤️ 정말", "❤", "좋아 [❤]️ 정말"},
		{"배포 🎉 완료", "🎉", "배포 [🎉] 완료"},
		{"아 ㅋㅋㅋ 그래", "ㅋㅋ", "아 [ㅋㅋㅋ] 그래"},
	}
	for _, tt := range tests {
		if !found(indexed(tt.text), tt.query) {
			t.Errorf("%q is not found by %q: terms %q, words %q", tt.text, tt.query, Terms(tt.text), Words(tt.query))
		}
		if _, all := Parse(tt.query).Match(tt.text); !all {
			t.Errorf("%q does not match %q", tt.text, tt.query)
		}
		if got := marked(t, tt.text, tt.query); got != tt.marked {
			t.Errorf("%q by %q: highlighted %q, want %q", tt.text, tt.query, got, tt.marked)
		}
	}
}

func TestDoesNotFind(t *testing.T) {
	tests := []struct{ text, query string }{
		{"회의가 기록되었다", "의록"},       // both syllables, apart
		{"록 음악을 듣는다", "의록"},       // not the particle 의 and the noun 록
		{"회의록을 공유해 주세요", "회의 점심"}, // one word of two
		{"회의록을 공유해 주세요", "공지"},
		{"한국어와 국어학", "한국어학"},        // all pairs, but apart
		{"데이터를 볼 베이스 기타", "데이터베이스"}, // the parts of the compound, apart
		{"3시에, 5월 2일", "3월"},
		{"They ran a runway", "running"},
		{"extraordinary", "extraordinal"}, // the same first eight letters
		{"Knatter", "atter"},              // not inside of Latin words
		{"語言 go", "go言"},
		{"東都京", "東京"},
		{"무엇이든", "?!"},
		{"", "회의"},
	}
	for _, tt := range tests {
		if _, all := Parse(tt.query).Match(tt.text); all {
			t.Errorf("%q matches %q: %s", tt.text, tt.query, marked(t, tt.text, tt.query))
		}
	}
}

func TestNothingSearchable(t *testing.T) {
	for _, query := range []string{"", " \t\n", "?!…", "—", "\u200b", "\ufe0f", "\x00", "\xff\xfe"} {
		if words := Words(query); len(words) != 0 {
			t.Errorf("Words(%q) = %q", query, words)
		}
		if _, all := Parse(query).Match("무엇이든"); all {
			t.Errorf("%q matches", query)
		}
	}
}

// TestLongQuery: the longest queries stay within what the index takes.
func TestLongQuery(t *testing.T) {
	for name, text := range hostile() {
		for _, query := range []string{string([]rune(text)[:200]), strings.Join(strings.Split(string([]rune(text)[:100]), ""), " ")} {
			terms := 0
			for _, word := range Words(query) {
				for _, alternative := range word.Any {
					terms += len(alternative)
				}
			}
			if terms > maxQueryTerms {
				t.Errorf("%s: %d terms in the query", name, terms)
			}
		}
		beginning := string([]rune(text)[:200])
		if _, all := Parse(beginning).Match(text); !all && len(Words(beginning)) > 0 {
			t.Errorf("%s: does not match its own beginning", name)
		}
	}
}

// TestEqualTerms: verbs share their stem in all forms.
func TestEqualTerms(t *testing.T) {
	for _, form := range []string{"만났어요", "만나다", "만나", "만나서", "만납니다", "만날"} {
		if terms := Terms(form); !slices.Contains(terms, "v만나") {
			t.Errorf("terms of %q: %q", form, terms)
		}
	}
}

// TestAnySubstring: whatever part of a Hangul text one looks for, it is found.
func TestAnySubstring(t *testing.T) {
	texts := []string{
		"회의록을 공유해 주세요", "어제친구를만났어요 ㅋㅋ 진짜 반가웠는데 왜이렇게빨리갔어?",
		"뷁쀍 똠방각하 펲시 쓩", "다음주수요일3시에2층회의실에서봐요", strings.Repeat("긴낱말을띄어쓰지않고계속", 30),
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		var b strings.Builder
		for range 40 {
			b.WriteRune('가' + random.Int32N(11172))
			if random.IntN(8) == 0 {
				b.WriteString([]string{" ", "a1", "!", "漢"}[random.IntN(4)])
			}
		}
		texts = append(texts, b.String())
	}
	for _, text := range texts {
		runes, terms := []rune(text), indexed(text)
		for start := range runes {
			for end := start + 1; end <= min(len(runes), start+12); end++ {
				part := string(runes[start:end])
				if strings.ContainsFunc(part, func(r rune) bool { return !unicode.Is(unicode.Hangul, r) }) {
					continue
				}
				if !found(terms, part) {
					t.Fatalf("%q is not found by its part %q", text, part)
				}
				if !strings.Contains(marked(t, text, part), part) {
					t.Fatalf("%q is not highlighted in %q", part, text)
				}
			}
		}
	}
}

func TestConcurrent(t *testing.T) {
	want := Terms("회의록을 공유해 주세요")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if got := Terms("회의록을 공유해 주세요"); !slices.Equal(got, want) {
					t.Errorf("terms %q, want %q", got, want)
				}
			}
		})
	}
	wg.Wait()
}

// TestHostile: texts made to be expensive stay within the documented bounds.
func TestHostile(t *testing.T) {
	for name, text := range hostile() {
		terms := Terms(text)
		checkTerms(t, terms)
		t.Logf("%s: %d code points, %d terms", name, utf8.RuneCountInString(text), len(terms))
	}
}

func hostile() map[string]string {
	var every, han strings.Builder
	for i := range rune(chat.MaxText) {
		every.WriteRune('가' + i*11172/chat.MaxText)
		han.WriteRune('一' + i)
	}
	texts := map[string]string{"every syllable": every.String(), "every ideograph": han.String()}
	for _, unit := range []string{"가", "대", "ㅋ", "a", "a ", "é", "🎉", "\ufdfa", "\u0301", "가\u0301", "가나다라마바사아자차카타파하", "!"} {
		texts["many "+unit] = string([]rune(strings.Repeat(unit, chat.MaxText))[:chat.MaxText])
	}
	return texts
}

func checkTerms(t *testing.T, terms []string) {
	t.Helper()
	seen := make(map[string]bool)
	for _, term := range terms {
		switch {
		case len(term) < 2 || len(term) > 129 || !utf8.ValidString(term) || strings.ContainsRune(term, 0):
			t.Errorf("term %q", term)
		case seen[term]:
			t.Errorf("term %q twice", term)
		}
		seen[term] = true
	}
	if len(terms) > maxTerms {
		t.Errorf("%d terms", len(terms))
	}
}

func TestGolden(t *testing.T) {
	var b strings.Builder
	for _, text := range []string{
		"회의록을 공유해 주세요", "어제 친구를 만났어요", "국회의원이 걸었다", "They were running", "東京都庁へ行く", "go1.26 언어 🎉 ㅋㅋ",
	} {
		fmt.Fprintf(&b, "text  %s\nterms %s\n", text, strings.Join(Terms(text), " "))
		for _, word := range Words(text) {
			fmt.Fprintf(&b, "word  %s\n", strings.Trim(fmt.Sprint(word.Any), "[]"))
		}
		b.WriteString("\n")
	}
	golden := filepath.Join("testdata", "terms.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("terms have changed; an index has to be built anew (go test -update):\n%s", b.String())
	}
}
