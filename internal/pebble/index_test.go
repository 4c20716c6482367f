package pebble

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/chattest"
)

// sealing is an index that makes postings of so many documents.
func sealing(t testing.TB, documents int) *Index {
	x := memory(t).Index()
	x.enough.documents = documents
	return x
}

// The suite again with postings made of each document, and of a few.
func TestSealedIndex(t *testing.T) {
	for _, n := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			chattest.SearchIndex(t, func(t *testing.T) chat.SearchIndex { return sealing(t, n) })
			chattest.ChangedIndex(t, func(t *testing.T) chat.SearchIndex { return sealing(t, n) })
		})
	}
}

// Whatever is recent, sealed or late, a search finds what it should, in order and
// page by page, and the dump has it all.
func TestIndexAgreesWithPlainSearch(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		x := sealing(t, 1+rnd.IntN(12))
		x.enough.bytes = 40 + rnd.IntN(2000)
		var docs []chat.Document
		for i := range 150 {
			d := chat.Document{
				Room: chat.RoomID(fmt.Sprint("room", rnd.IntN(3))), Sequence: chat.Sequence(i + 1),
				Source: fmt.Sprint("/users/u", rnd.IntN(3)), ID: fmt.Sprint(i),
				// Mostly as the log has them, some clocks being off.
				Time: time.UnixMilli(1<<40 + int64(i)*10 + rnd.Int64N(100) - rnd.Int64N(2)*rnd.Int64N(500)),
			}
			if rnd.IntN(10) == 0 && i > 0 { // sent again
				of := docs[rnd.IntN(i)]
				d.Room, d.Source, d.ID = of.Room, of.Source, of.ID
			}
			for term := range 6 {
				if rnd.IntN(term+2) == 0 {
					d.Terms = append(d.Terms, string(rune('a'+term)))
				}
			}
			docs = append(docs, d)
		}
		put := slices.Clone(docs)
		for i := range put { // nearly in order
			j := min(i+rnd.IntN(20), len(put)-1)
			put[i], put[j] = put[j], put[i]
		}
		for len(put) > 0 {
			n := min(1+rnd.IntN(15), len(put))
			must(t, x.Put(t.Context(), put[:n]))
			if rnd.IntN(3) == 0 {
				must(t, x.Put(t.Context(), put[:n]))
			}
			put = put[n:]
		}
		checkSearches(t, x, rnd, first(docs))
		checkDump(t, x, first(docs))
	}
}

// first keeps the documents with the lowest sequence of each room, source and id.
func first(docs []chat.Document) []chat.Document {
	seen := make(map[string]bool)
	return slices.DeleteFunc(slices.Clone(docs), func(d chat.Document) bool {
		key := fmt.Sprint(d.Room, d.Source, d.ID)
		again := seen[key]
		seen[key] = true
		return again
	})
}

func checkSearches(t *testing.T, x *Index, rnd *rand.Rand, docs []chat.Document) {
	t.Helper()
	for range 60 {
		q := chat.Query{Rooms: []chat.RoomID{"room0", "room1", "room2"}[rnd.IntN(3):], Limit: 1 + rnd.IntN(10)}
		for range 1 + rnd.IntN(2) {
			var w chat.Word
			for range 1 + rnd.IntN(2) {
				w.Any = append(w.Any, []string{string(rune('a' + rnd.IntN(7))), string(rune('a' + rnd.IntN(6)))}[:1+rnd.IntN(2)])
			}
			q.Words = append(q.Words, w)
		}
		if rnd.IntN(3) == 0 {
			q.From = []chat.UserID{chat.UserID(fmt.Sprint("u", rnd.IntN(3)))}
		}
		var want []chat.Hit
		for _, d := range docs {
			if matches(&d, &q) {
				want = append(want, chat.Hit{Room: d.Room, Sequence: d.Sequence, Time: d.Time.UTC()})
			}
		}
		slices.SortFunc(want, chat.CompareHits)
		var got []chat.Hit
		for {
			hits, more, err := x.Search(t.Context(), q)
			must(t, err)
			got = append(got, hits...)
			if !more {
				break
			}
			q.Cursor = hits[len(hits)-1]
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v: got %d hits, want %d\n got %v\nwant %v", q, len(got), len(want), got, want)
		}
	}
}

func matches(d *chat.Document, q *chat.Query) bool {
	event := chat.Event{Source: d.Source}
	if !slices.Contains(q.Rooms, d.Room) || len(q.From) > 0 && !slices.Contains(q.From, event.User()) {
		return false
	}
	for _, w := range q.Words {
		if !slices.ContainsFunc(w.Any, func(terms []string) bool {
			return !slices.ContainsFunc(terms, func(term string) bool { return !slices.Contains(d.Terms, term) })
		}) {
			return false
		}
	}
	return true
}

func checkDump(t *testing.T, x *Index, docs []chat.Document) {
	t.Helper()
	type posting struct {
		term string
		hit  chat.Hit
	}
	var got, want []posting
	must(t, x.Dump(t.Context(), func(_ chat.RoomID, term string, hit chat.Hit) error {
		got = append(got, posting{term, hit})
		return nil
	}))
	for _, d := range docs {
		for _, term := range d.Terms {
			want = append(want, posting{term, chat.Hit{Room: d.Room, Sequence: d.Sequence, Time: d.Time.UTC()}})
		}
	}
	slices.SortFunc(want, func(a, b posting) int {
		return cmp.Or(cmp.Compare(a.hit.Room, b.hit.Room), cmp.Compare(a.term, b.term), chat.CompareHits(a.hit, b.hit))
	})
	if !slices.Equal(got, want) {
		t.Fatalf("dumped %d postings, want %d", len(got), len(want))
	}
}

// A store that is opened again knows how many recent documents a room has.
func TestRecentDocumentsAreCountedAgain(t *testing.T) {
	dir := t.TempDir()
	const docs = 10
	for i := range docs {
		s, err := Open(dir)
		must(t, err)
		x := s.Index()
		x.enough.documents = docs
		must(t, x.Put(t.Context(), []chat.Document{{
			Room: "room", Sequence: chat.Sequence(i + 1), Source: "/users/u", ID: fmt.Sprint(i), Time: time.UnixMilli(int64(i)), Terms: []string{"a"},
		}}))
		recent := 0
		if r := x.recent["room"]; r != nil {
			recent = len(r.docs)
		}
		must(t, s.Close())
		if recent == 0 {
			if i+1 < docs/2 {
				t.Fatalf("sealed after %d documents", i+1)
			}
			return
		}
		if recent != i+1 {
			t.Fatalf("%d recent documents after %d", recent, i+1)
		}
	}
	t.Fatalf("not sealed after %d documents", docs)
}

// Documents of very many rooms are sealed before any room has enough of them, so
// that memory stays bounded.
func TestRecentDocumentsAreBounded(t *testing.T) {
	s := memory(t)
	x := s.Index()
	x.most = 8 << 10
	var docs []chat.Document
	for i := range 1000 {
		d := chat.Document{
			Room: chat.RoomID(fmt.Sprint("room", i%300)), Sequence: chat.Sequence(i + 1), Source: "/users/u", ID: fmt.Sprint(i),
			Time: time.UnixMilli(1<<40 + int64(i)), Terms: []string{"a", fmt.Sprint("term", i)},
		}
		docs = append(docs, d)
		must(t, x.Put(t.Context(), []chat.Document{d}))
		if x.held > x.most+1024 {
			t.Fatalf("%d bytes are held after %d documents", x.held, i+1)
		}
	}
	held := 0
	for _, r := range x.recent {
		held += r.bytes
	}
	if held != x.held || held == 0 {
		t.Errorf("%d bytes are held, %d counted", held, x.held)
	}
	checkDump(t, x, docs)
	must(t, x.Wipe(t.Context()))
	if len(x.recent) != 0 || x.held != 0 {
		t.Errorf("%d rooms and %d bytes are held of nothing", len(x.recent), x.held)
	}
}

// A search meanwhile misses nothing that was put: neither what is just sealed, nor
// a message of which an earlier sequence turns up.
func TestSearchWhileSealing(t *testing.T) {
	x := sealing(t, 5)
	doc := func(id, seq int) chat.Document {
		return chat.Document{Room: "room", Sequence: chat.Sequence(seq), Source: "/users/u", ID: fmt.Sprint(id), Time: time.UnixMilli(int64(seq)), Terms: []string{"a"}}
	}
	var put atomic.Int64
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		defer close(done)
		for i := range 1000 {
			if err := x.Put(t.Context(), []chat.Document{doc(i, 10*i+9)}); err != nil {
				t.Error(err)
				return
			}
			put.Store(int64(i + 1))
			if i%3 == 0 { // one from before, mostly sealed
				of := max(i-i%7, 0)
				if err := x.Put(t.Context(), []chat.Document{doc(of, 10*of+5)}); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	q := chat.Query{Rooms: []chat.RoomID{"room"}, Words: []chat.Word{{Any: [][]string{{"a"}}}}, Limit: 2000}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		n := int(put.Load())
		hits, _, err := x.Search(t.Context(), q)
		must(t, err)
		found := make(map[int]int)
		for _, hit := range hits {
			found[int(hit.Sequence)/10]++
		}
		for id := range found {
			if found[id] != 1 {
				t.Fatalf("message %d is found %d times", id, found[id])
			}
		}
		for id := range n {
			if found[id] != 1 {
				t.Fatalf("message %d of %d is not found", id, n)
			}
		}
	}
	writer.Wait()
}

func TestRowOfPlaces(t *testing.T) {
	oldest := placeAt(1000, 50)
	newer := []moment{{1000, 51}, {1001, 3}, {1 << 47, 1 << 52}}
	got, ok := appendPlaces(nil, oldest, appendNewer(nil, oldest.moment(), newer...))
	want := []place{placeAt(1<<47, 1<<52), placeAt(1001, 3), placeAt(1000, 51), oldest}
	if !ok || !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, ok := appendPlaces(nil, oldest, []byte{0x80}); ok {
		t.Error("half a number was read")
	}
}
