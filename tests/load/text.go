package main

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// writer makes sentences as people chat them in Korean: a few words are in most
// of them, most words are rare, verbs are inflected, some words are English,
// numbers or names that occur once.
type writer struct {
	rnd   *rand.Rand
	nouns *rand.Zipf
	verbs *rand.Zipf
	names []string
}

func newWriter(rnd *rand.Rand) *writer {
	w := &writer{
		rnd:   rnd,
		nouns: rand.NewZipf(rnd, 1.1, 2, uint64(len(nouns)-1)),
		verbs: rand.NewZipf(rnd, 1.2, 2, uint64(len(stems)*len(endings)-1)),
	}
	for range 20_000 {
		n := 2 + rnd.IntN(2)
		name := make([]rune, n)
		for i := range name {
			name[i] = rune(0xac00 + rnd.IntN(11172))
		}
		w.names = append(w.names, string(name))
	}
	return w
}

var (
	nouns = strings.Fields(`오늘 내일 사람 시간 회의 생각 점심 저녁 학교 회사 집 친구 영화 커피 날씨 주말 전화 메시지 사진 음악 여행 버스 지하철
		공항 병원 약속 선물 생일 가족 동생 언니 아버지 어머니 선생님 학생 공부 시험 숙제 문제 답 질문 이름 번호 주소 사무실 컴퓨터 서버 코드 버그 배포
		테스트 데이터 검색 채팅방 알림 서비스 고객 계약 보고서 자료 발표 일정 휴가 월급 은행 카드 가격 할인 주문 배송 식당 메뉴 김치찌개 비빔밥 냉면 치킨
		맥주 소주 운동 축구 야구 농구 수영 등산 산책 강아지 고양이 꽃 나무 바다 산 강 하늘 비 눈 바람 봄 여름 가을 겨울 아침 새벽 밤 서울 부산 대구 인천
		광주 대전 제주도 한국 미국 일본 중국 뉴스 경제 정치 문화 역사 과학 기술 인터넷 휴대폰 게임 책 신문 잡지 드라마 노래 가수 배우 감독 기차 비행기 자동차
		운전 주차장 아파트 엘리베이터 화장실 부엌 냉장고 세탁기 침대 책상 의자 창문 문 열쇠 지갑 가방 신발 옷 모자 안경 우산 시계 반지 마음 사랑 행복 걱정
		건강 감기 약 의사 간호사 경찰 소방서 도서관 박물관 공원 시장 백화점 편의점 우체국`)
	particles = []string{"이", "가", "을", "를", "은", "는", "에", "에서", "으로", "하고", "도", "만", "까지", "부터", "한테", ""}
	stems     = strings.Fields(`가 오 보 먹 마시 하 만나 보내 읽 쓰 듣 말하 자 일어나 살 죽 사랑하 공부하 일하 기다리 찾 알 모르 좋아하 싫어하
		시작하 끝나 열 닫 타 내리 걷 뛰 웃 울 놀 쉬 배우 가르치 만들 고치 확인하 도와주 부탁하`)
	endings = strings.Fields(`고 지만 는데 네요 습니다 어요 을게요 자 니까 면 려고 었어요 겠습니다 는 던 기 음 더라 거든요 잖아`)
	others  = strings.Fields(`ok lol deploy meeting server 10시 3시 2026년 ㅋㅋㅋ ㅎㅎ 네 아니요 진짜 정말 아주 너무 빨리 천천히 그리고 그런데 그래서 지금 아까 나중에 :) 👍 🎉`)
)

// text is a sentence of about 40 characters, or as many as make up the bytes.
func (w *writer) text(bytes int) string {
	var b strings.Builder
	for words := 4 + w.rnd.IntN(6); bytes == 0 && words > 0 || b.Len() < bytes; words-- {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		switch r := w.rnd.IntN(100); {
		case r < 50:
			b.WriteString(nouns[w.nouns.Uint64()])
			b.WriteString(particles[w.rnd.IntN(len(particles))])
		case r < 80:
			v := int(w.verbs.Uint64())
			b.WriteString(stems[v%len(stems)])
			b.WriteString(endings[v/len(stems)])
		case r < 95:
			b.WriteString(others[w.rnd.IntN(len(others))])
		case r < 99:
			b.WriteString(w.names[w.rnd.IntN(len(w.names))])
		default:
			b.WriteString(strconv.Itoa(w.rnd.IntN(1_000_000)))
		}
	}
	return b.String()
}
