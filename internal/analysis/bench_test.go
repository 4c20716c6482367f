package analysis

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// benchmarkTexts are what the benchmarks analyse: usual messages, whose words are known
// after the first round, and the longest and most expensive ones.
func benchmarkTexts() (names []string, texts map[string]string) {
	texts = hostile()
	texts["korean"] = "어제 회의에서 만났어요. 회의록을 공유해 주세요"
	texts["short korean"] = "지금 가고 있어요 ㅋㅋ"
	texts["long korean"] = strings.Repeat("다음 주 수요일 오후 세 시에 이층 회의실에서 만나서 발표 자료를 같이 확인하고 일정을 다시 정하면 좋겠습니다. ", 8)
	texts["english"] = "They were running late, so we shared the minutes without them"
	texts["mixed"] = "내일 10:30에 GitHub PR 리뷰하고 v2.10 배포할게요 🎉 東京 팀도 참석! https://knatter.dev/chat"
	texts["russian"] = "Привет, как дела? Сегодня встреча в десять"
	texts["emoji"] = "🎉🎉 축하해요 👩‍💻❤️ 😂😂😂 ㅠㅠ"
	return []string{
		"short korean", "korean", "long korean", "english", "russian", "mixed", "emoji",
		"many 가", "every syllable", "every ideograph", "many 가나다라마바사아자차카타파하", "many é", "many 🎉",
	}, texts
}

func BenchmarkTerms(b *testing.B) {
	names, texts := benchmarkTexts()
	for _, name := range names {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Terms(texts[name])
			}
		})
	}
}

func BenchmarkTermsParallel(b *testing.B) {
	_, texts := benchmarkTexts()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			Terms(texts["korean"])
		}
	})
}

// BenchmarkTermsOfMany is about the words: drawn as people use them, few of them
// often and most of them hardly ever, from 100,000; and each of 200,000 in turn,
// so that none is known.
func BenchmarkTermsOfMany(b *testing.B) {
	random := rand.New(rand.NewPCG(7, 8))
	vocabulary := distinctWords(random, 200_000)
	zipf := rand.NewZipf(random, 1.1, 3, 100_000-1)
	turn := 0
	for _, bm := range []struct {
		name string
		word func() string
	}{
		{"usual", func() string { return vocabulary[zipf.Uint64()] }},
		{"unknown", func() string { turn++; return vocabulary[turn%len(vocabulary)] }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			texts := make([]string, 40_000) // of 25 to 30 characters
			for i := range texts {
				words := make([]string, 6)
				for k := range words {
					words[k] = bm.word()
				}
				texts[i] = strings.Join(words, " ")
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				Terms(texts[i%len(texts)])
				i++
			}
		})
	}
}

// distinctWords are n different words, as nouns and verbs are inflected.
func distinctWords(random *rand.Rand, n int) []string {
	g := generator{random}
	seen := make(map[string]bool, n)
	words := make([]string, 0, n)
	for len(words) < n {
		word := g.inflected()
		switch g.IntN(3) {
		case 0:
			word = g.of(nouns) + g.of(particles)
		case 1:
			word = g.of(nouns) + g.of(nouns) + g.of(particles)
		}
		if !seen[word] {
			seen[word] = true
			words = append(words, word)
		}
	}
	return words
}

func BenchmarkMatch(b *testing.B) {
	q := Parse("회의록 만나다")
	for b.Loop() {
		q.Match("어제 회의에서 만났어요. 회의록을 공유해 주세요")
	}
}
