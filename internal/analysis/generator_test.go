package analysis

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// generator makes up messages.
type generator struct{ *rand.Rand }

func (g generator) of(list []string) string { return list[g.IntN(len(list))] }

var (
	nouns = strings.Fields(`회의 회의록 자료 일정 점심 저녁 커피 친구 동생 어머니 선생님 학교 회사 집 공원 병원 지하철 버스 비행기 여행
		주말 오늘 내일 어제 모레 아침 밤 새벽 날씨 비 눈 바람 영화 음악 노래 게임 축구 야구 운동 책 신문 뉴스 사진 동영상 휴대폰 컴퓨터
		노트북 데이터베이스 서버 클라이언트 메시지 채팅방 알림 비밀번호 국회의원 대한민국 서울특별시 부산 제주도 아르바이트 프로그래밍
		개발자 디자이너 팀장님 사장님 고객 계약서 보고서 발표 질문 대답 문제 해결 방법 시간 장소 약속 생일 선물 결혼식 졸업 시험 공부
		숙제 도서관 식당 김치찌개 삼겹살 치킨 피자 떡볶이 라면 물 술 맥주 소주 돈 은행 카드 가격 할인 배송 주문 환불 교환 뷁쀍 갤럭시
		우리 나 너 저 그 이것 저것 무엇 누구 어디 언제 하나 둘 셋 백만 스물 것 수 때 중 번 개 명 년 월 일`)
	particles = strings.Fields(`이 가 을 를 은 는 에 에서 에게 한테 으로 로 와 과 이랑 랑 하고 도 만 까지 부터 처럼 보다 의 이나 나 마다 밖에
		이라고 라고 이야 야 이에요 예요 입니다 이다 였다 이었습니다 들 들이 들을 님 씨`)
	stems = strings.Fields(`가 오 보 먹 마시 자 일어나 만나 만들 듣 걷 묻 돕 춥 덥 예쁘 바쁘 크 작 좋 싫 많 적 빠르 느리 부르 모르 알 살 놀 울 웃 앉 서
		읽 쓰 배우 가르치 사 팔 주 받 보내 기다리 찾 잃 잊 생각하 공부하 운동하 시작하 끝나 끝내 공유하 확인하 연락하 부탁드리 죄송하
		감사하 축하하 사랑하 좋아하 싫어하 어렵 쉽 맛있 재미있 없 있 되 하 이기 지 낫 짓 흐르 푸르 하얗 빨갛`)
	endings = strings.Fields(`다 고 지 면 서 니 니까 는데 네 나 자 습니다 ㅂ니다 았다 었다 했다 했어요 았어 었어요 어요 아요 해요 하세요 세요 십시오 ㄹ게
		을게요 ㄹ까 을까요 겠다 겠습니다 겠어 려고 으려고 으면 더니 던 는 은 ㄴ ㄹ 을 기 음 게 도록 거나 든지 잖아 거든 구나 군요 시겠어요 셨습니까
		지만 다가 자마자 는지 ㄴ가요 나요 냐 니 라 어라 아라 자고 다고 라고 냐고 대 래 고싶다 고있어 어버렸다 아봤는데 어줘 아주세요`)
	adverbs = strings.Fields(`정말 진짜 너무 아주 조금 많이 빨리 천천히 다시 또 이미 아직 벌써 곧 지금 나중에 항상 가끔 절대 혹시 아마 그냥 제발 안 못 더 덜 제일 가장`)
	fillers = strings.Fields(`ㅋㅋ ㅋㅋㅋㅋㅋ ㅎㅎ ㅠㅠ ㅜㅜ ㅇㅇ ㄴㄴ ㅇㅋ ㄱㄱ ㅈㅅ ㄱㅅ 헐 와 아 음 네 넵 예 응 아니 글쎄 ... !! ?! ~ ^^ :) ㅡㅡ ㄳ ㅄ ㄱㅏ ㅋㅏㅏ`)
	latin   = strings.Fields(`the They're running LATE minutes API v2.10 go1.26 GitHub README.md k8s HTTP/2 generously STRASSE Straße café Привет naïve İstanbul ΣΊΣΥΦΟΣ 123 3.14 2024 10:30 #42 user@example.com extraordinarily skies dying`)
	others  = strings.Fields(`東京都庁へ行く コーヒーを飲む ｺｰﾋｰ ﾊﾟｿｺﾝ ありがとう 大韓民國 漢字 สวัสดีครับ 你好世界 ㎒ ﬁ ㍿ ① Ⅳ ﷺ が ヴ ゟ ヿ`)
	emoji   = strings.Fields("🎉 😂😂😂 ❤️ 👩‍💻 🇰🇷 👍🏽 🫠 ☀️ ✅ 🄰 ©️ 1️⃣ 🧑🏻‍🤝‍🧑🏿")
	strange = []string{"\u0301", "\u302e", "\u200b", "\u200d", "\ufe0f", "\x00", "\xff", "\xed\xa0\x80", "\u1100", "\u1161", "\u11a8", "\u3164", "\u115f", "\ud7b0", "\ua960", "\ufdfa", "\u0345", "\U000e0061", "\u2028", "\t", "가\u0301", "가\u11a8", "각\u11a8", "ㄱ\u1161", "か\u3099", strings.Repeat("\u0300", 40)}
)

func (g generator) word() string {
	switch g.IntN(16) {
	case 0, 1, 2, 3, 4:
		return g.of(nouns) + g.of(particles)
	case 5, 6, 7, 8:
		return g.inflected()
	case 9:
		return g.of(nouns) + g.of(nouns) + g.of(particles)
	case 10:
		return g.of(adverbs)
	case 11:
		return g.of(fillers)
	case 12:
		return g.of(latin)
	case 13:
		return g.of(others)
	case 14:
		return g.of(emoji)
	}
	return fmt.Sprint(g.IntN(3000)) + g.of([]string{"년", "월", "시에", "번째", "", "%", "GB", "층회의실"})
}

// inflected joins a stem and an ending, also when nobody would say so; what
// begins with a consonant closes the stem's last syllable.
func (g generator) inflected() string {
	stem, ending := g.of(stems), g.of(endings)
	if first, size := utf8.DecodeRuneInString(ending); 'ㄱ' <= first && first <= 'ㅎ' {
		closing := map[rune]string{'ㄴ': "\u11ab", 'ㄹ': "\u11af", 'ㅂ': "\u11b8"}[first]
		return norm.NFC.String(stem+closing) + ending[size:]
	}
	return stem + ending
}

func (g generator) text() string {
	var b strings.Builder
	switch g.IntN(12) {
	case 0: // any syllables
		for range g.IntN(90) {
			b.WriteRune(firstSyllable + g.Int32N(lastSyllable-firstSyllable+1))
			if g.IntN(9) == 0 {
				b.WriteString(g.of([]string{" ", "!", "ㅋ", "a"}))
			}
		}
	case 1: // without spaces
		for range g.IntN(40) {
			b.WriteString(g.word())
		}
	case 2: // what nobody writes
		for range g.IntN(30) {
			switch g.IntN(4) {
			case 0:
				b.WriteString(g.of(strange))
			case 1:
				b.WriteRune(g.Int32N(0x20000))
			default:
				b.WriteString(g.word())
			}
		}
	case 3: // other forms of the same
		s := g.sentence()
		b.WriteString([]norm.Form{norm.NFD, norm.NFKD}[g.IntN(2)].String(s))
	case 4: // letters and marks of Hangul
		for range g.IntN(40) {
			b.WriteRune([]rune{0x1100, 0x1161, 0x11a7, 0x3131, 0x314f, 0xac00, 0xffa0}[g.IntN(7)] + g.Int32N(40))
		}
	case 5: // a long one
		for range g.IntN(30) {
			b.WriteString(g.sentence())
		}
	default:
		b.WriteString(g.sentence())
	}
	return b.String()
}

func (g generator) sentence() string {
	words := make([]string, 1+g.IntN(9))
	for i := range words {
		words[i] = g.word()
	}
	return strings.Join(words, " ") + g.of([]string{"", ".", "?", "!!", " ㅋㅋ", "\n"})
}
