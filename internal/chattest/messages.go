package chattest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
)

// Messages makes messages as people write them, for measuring stores: 24 terms each,
// of a vocabulary of which most is rare. It makes the same ones every time.
type Messages struct {
	rnd   *rand.Rand
	room  func() int
	term  *rand.Zipf
	vocab []string
	last  chat.Sequence
}

// NewMessages makes messages for a thousand rooms, of which a few are busy, or for
// 500 that are equally so.
func NewMessages(even bool) *Messages {
	rnd := rand.New(rand.NewPCG(1, 1))
	m := &Messages{rnd: rnd, term: rand.NewZipf(rnd, 1.2, 3, 199_999)}
	for range 200_000 {
		term := make([]rune, 2+rnd.IntN(2))
		for i := range term {
			term[i] = '가' + rnd.Int32N(11_172)
		}
		m.vocab = append(m.vocab, string(term))
	}
	busy := rand.NewZipf(rnd, 1.1, 1, 999)
	m.room = func() int { return int(busy.Uint64()) }
	if even {
		m.room = func() int { return rnd.IntN(500) }
	}
	return m
}

// Next makes the next n messages, as events and as documents.
func (m *Messages) Next(t testing.TB, n int) ([]chat.Event, []chat.Document) {
	t.Helper()
	events, docs := make([]chat.Event, n), make([]chat.Document, n)
	for i := range n {
		m.last++
		var terms []string
		for len(terms) < 24 {
			if term := m.vocab[m.term.Uint64()]; !slices.Contains(terms, term) {
				terms = append(terms, term)
			}
		}
		room := chat.RoomID(fmt.Sprintf("room-%04d-aaaa", m.room()))
		user := chat.UserID(fmt.Sprintf("user%012d", m.rnd.IntN(2000)))
		at := epoch.Add(time.Duration(m.last) * time.Millisecond)
		e, err := chat.NewEvent(fmt.Sprintf("%012x-7%015x", at.UnixMilli(), m.rnd.Uint64()>>4), user, chat.MessagePosted, room, chat.Posted{Text: strings.Join(terms, " ")})
		if err != nil {
			t.Fatal(err)
		}
		e.Sequence, e.Time = m.last, at
		events[i] = e
		docs[i] = chat.Document{Room: room, Sequence: e.Sequence, Source: e.Source, ID: e.ID, Time: at, Terms: terms}
	}
	return events, docs
}
