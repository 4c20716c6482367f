package chattest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"knatter.dev/chat"
)

// SearchIndex checks a [chat.SearchIndex].
func SearchIndex(t *testing.T, open func(t *testing.T) chat.SearchIndex) {
	ctx := t.Context()

	t.Run("words are intersected, alternatives united", func(t *testing.T) {
		s := open(t)
		docs := []chat.Document{
			document("room", "alice", "1", 1, "회의", "록", "공유"),
			document("room", "bob", "2", 2, "회의", "내일"),
			document("room", "alice", "3", 3, "공유", "run"),
			document("other", "alice", "4", 4, "회의", "록", "공유"),
			document("roo", "alice", "5", 5, "회의"),
			document("room", "bob", "6", 6, "회의록"), // a longer term is another term
		}
		must(t, s.Put(ctx, docs))
		for _, c := range []struct {
			name  string
			query chat.Query
			want  []chat.Sequence
		}{
			{"one term", chat.Query{Words: words("회의")}, []chat.Sequence{2, 1}},
			{"two words", chat.Query{Words: words("회의", "공유")}, []chat.Sequence{1}},
			{"no such term", chat.Query{Words: words("회의", "없음")}, nil},
			{"terms of an alternative", chat.Query{Words: []chat.Word{{Any: [][]string{{"회의", "록"}}}}}, []chat.Sequence{1}},
			{"alternatives", chat.Query{Words: []chat.Word{{Any: [][]string{{"내일"}, {"run"}, {"없음"}}}}}, []chat.Sequence{3, 2}},
			{"both", chat.Query{Words: []chat.Word{{Any: [][]string{{"회의", "록"}, {"run"}}}, {Any: [][]string{{"공유"}}}}}, []chat.Sequence{3, 1}},
			{"the same word twice", chat.Query{Words: words("회의", "회의")}, []chat.Sequence{2, 1}},
			{"sender", chat.Query{Words: words("회의"), From: []chat.UserID{"bob"}}, []chat.Sequence{2}},
			{"sender of nothing", chat.Query{Words: words("회의"), From: []chat.UserID{"bo"}}, nil},
			{"a sender alone", chat.Query{From: []chat.UserID{"bob"}}, []chat.Sequence{6, 2}},
			{"two senders", chat.Query{From: []chat.UserID{"bob", "alice"}}, []chat.Sequence{6, 3, 2, 1}},
			{"one of two senders", chat.Query{Words: words("공유"), From: []chat.UserID{"bob", "alice"}}, []chat.Sequence{3, 1}},
			{"two rooms", chat.Query{Words: words("회의", "공유"), Rooms: []chat.RoomID{"room", "other"}}, []chat.Sequence{4, 1}},
			{"a room twice", chat.Query{Words: words("회의"), Rooms: []chat.RoomID{"room", "room"}}, []chat.Sequence{2, 1}},
			{"no room", chat.Query{Words: words("회의"), Rooms: []chat.RoomID{}}, nil},
			{"another room", chat.Query{Words: words("회의"), Rooms: []chat.RoomID{"empty"}}, nil},
		} {
			t.Run(c.name, func(t *testing.T) {
				if c.query.Rooms == nil {
					c.query.Rooms = []chat.RoomID{"room"}
				}
				c.query.Limit = 10
				hits, more, err := s.Search(ctx, c.query)
				must(t, err)
				var got []chat.Sequence
				for _, h := range hits {
					got = append(got, h.Sequence)
				}
				if fmt.Sprint(got) != fmt.Sprint(c.want) || more {
					t.Fatalf("got %v, more %v, want %v", got, more, c.want)
				}
			})
		}
	})

	t.Run("queries that are not valid", func(t *testing.T) { invalidQueries(t, open(t)) })

	t.Run("a hit says where and when", func(t *testing.T) {
		s := open(t)
		d := document("room", "alice", "1", chat.SequenceAt(31, 1<<47), "term")
		must(t, s.Put(ctx, []chat.Document{d}))
		hits, _, err := s.Search(ctx, chat.Query{Rooms: []chat.RoomID{"room"}, Words: words("term"), Limit: 1})
		must(t, err)
		wantEqual(t, "hits", hits, []chat.Hit{hitOf(d)})
	})

	t.Run("times bound the matches", func(t *testing.T) {
		s := open(t)
		var docs []chat.Document
		for i := range 10 {
			docs = append(docs, document("room", "alice", fmt.Sprint(i), chat.Sequence(i+1), "term"))
		}
		must(t, s.Put(ctx, docs))
		for after := -1; after <= 11; after++ {
			for before := -1; before <= 11; before++ {
				q := chat.Query{Rooms: []chat.RoomID{"room"}, Words: words("term"), Limit: 100}
				if after >= 0 {
					q.After = epoch.Add(time.Duration(after) * time.Millisecond)
				}
				if before >= 0 {
					q.Before = epoch.Add(time.Duration(before) * time.Millisecond)
				}
				wantSearch(t, s, docs, q)
			}
		}
	})

	t.Run("pages follow each other over equal times", func(t *testing.T) {
		shuffled(t, open, func(t *testing.T, s chat.SearchIndex, rnd *rand.Rand) {
			docs := resentDocuments(rnd)
			for _, batch := range deliveries(rnd, docs) {
				must(t, s.Put(ctx, batch))
			}
			stored := firstDocuments(docs)
			for range 10 {
				q := randomQuery(rnd)
				for range 100 { // pages
					page := wantSearch(t, s, stored, q)
					if len(page) < q.Limit {
						break
					}
					q.Cursor = page[len(page)-1]
				}
			}
		})
	})

	t.Run("many rooms, many at the same time", func(t *testing.T) {
		s := open(t)
		var docs []chat.Document
		var rooms []chat.RoomID
		for i := range 450 {
			rooms = append(rooms, chat.RoomID(fmt.Sprintf("room-%d", i)))
			for j := range 3 {
				d := document(rooms[i], "alice", fmt.Sprint(j), chat.Sequence(3*i+j+1), "common", fmt.Sprint("a", j), fmt.Sprint("b", j))
				d.Time = epoch.Add(time.Duration((i+j)%7) * time.Second)
				docs = append(docs, d)
			}
		}
		must(t, s.Put(ctx, docs))
		for _, ws := range [][]chat.Word{
			words("common"),
			{{Any: [][]string{{"a0"}, {"b1"}, {"a2", "b2"}}}, {Any: [][]string{{"a0"}, {"a1"}, {"common", "a2"}}}},
		} {
			q := chat.Query{Rooms: rooms, Words: ws, Limit: 200}
			for {
				page := wantSearch(t, s, docs, q)
				if len(page) < q.Limit {
					break
				}
				q.Cursor = page[len(page)-1]
			}
		}
	})

	t.Run("the first sequence wins in any order", func(t *testing.T) {
		shuffled(t, open, func(t *testing.T, s chat.SearchIndex, rnd *rand.Rand) {
			docs := resentDocuments(rnd)
			for _, batch := range deliveries(rnd, docs) {
				must(t, s.Put(ctx, batch))
			}
			wantDump(t, s, firstDocuments(docs))
		})
	})

	t.Run("a resent message with other terms leaves nothing behind", func(t *testing.T) {
		for _, order := range [][]int{{0, 1}, {1, 0}, {1, 0, 1}, {0, 1, 0}} {
			s := open(t)
			docs := []chat.Document{
				document("room", "alice", "same", 1, "both", "first"),
				document("room", "alice", "same", 2, "both", "second"),
			}
			for _, i := range order {
				must(t, s.Put(ctx, docs[i:i+1]))
			}
			wantDump(t, s, docs[:1])
			for _, term := range []string{"both", "first", "second"} {
				wantSearch(t, s, docs[:1], chat.Query{Rooms: []chat.RoomID{"room"}, Words: words(term), Limit: 10})
				wantSearch(t, s, docs[:1], chat.Query{Rooms: []chat.RoomID{"room"}, Words: words(term), From: []chat.UserID{"alice"}, Limit: 10})
			}
		}
	})

	t.Run("concurrent puts", func(t *testing.T) {
		s := open(t)
		rnd := rand.New(rand.NewPCG(7, 8))
		docs := resentDocuments(rnd)
		putConcurrently(t, rnd, 8, docs, s.Put)
		wantDump(t, s, firstDocuments(docs))
	})

	t.Run("users' streams are ignored", func(t *testing.T) {
		s := open(t)
		must(t, s.Put(ctx, []chat.Document{document("@alice", "alice", "1", 1, "term")}))
		wantDump(t, s, nil)
	})

	t.Run("a wiped index is empty and can be filled again", func(t *testing.T) {
		s := open(t)
		docs := resentDocuments(rand.New(rand.NewPCG(9, 9)))
		must(t, s.Put(ctx, docs))
		must(t, s.Wipe(ctx))
		wantDump(t, s, nil)
		wantSearch(t, s, nil, chat.Query{Rooms: []chat.RoomID{"one", "two"}, Words: words("a"), Limit: 10})
		slices.Reverse(docs)
		must(t, s.Put(ctx, docs))
		slices.Reverse(docs)
		wantDump(t, s, firstDocuments(docs))
	})

	t.Run("a dump stops with the caller's error", func(t *testing.T) {
		s := open(t)
		must(t, s.Put(ctx, []chat.Document{document("room", "alice", "1", 1, "a", "b")}))
		enough, calls := errors.New("enough"), 0
		err := s.Dump(ctx, func(chat.RoomID, string, chat.Hit) error { calls++; return enough })
		if !errors.Is(err, enough) || calls != 1 {
			t.Fatalf("got %v after %d calls", err, calls)
		}
	})
}

// document is a message of the room; its time is epoch plus seq milliseconds.
func document(room chat.RoomID, user chat.UserID, id string, seq chat.Sequence, terms ...string) chat.Document {
	at := epoch.Add(time.Duration(min(seq, 1<<40)) * time.Millisecond)
	return chat.Document{Room: room, Sequence: seq, Source: chat.SourceOf(user), ID: id, Time: at, Terms: terms}
}

func words(terms ...string) []chat.Word {
	var ws []chat.Word
	for _, term := range terms {
		ws = append(ws, chat.Word{Any: [][]string{{term}}})
	}
	return ws
}

// resentDocuments are messages of few terms, many at the same time, a quarter of
// them resent, in the order of their sequences.
func resentDocuments(rnd *rand.Rand) []chat.Document {
	var docs []chat.Document
	for seq := chat.Sequence(1); seq <= 100; seq++ {
		if len(docs) > 0 && rnd.IntN(4) == 0 {
			again := docs[rnd.IntN(len(docs))]
			again.Sequence = seq
			again.Time = epoch.Add(time.Duration(rnd.IntN(8)) * time.Millisecond)
			docs = append(docs, again)
			continue
		}
		d := document(
			chat.RoomID([]string{"one", "two", "three"}[rnd.IntN(3)]),
			chat.UserID([]string{"alice", "bob"}[rnd.IntN(2)]),
			fmt.Sprint(seq), seq)
		d.Time = epoch.Add(time.Duration(rnd.IntN(8)) * time.Millisecond) // clocks differ
		for _, term := range []string{"a", "b", "ab", "c"} {
			if rnd.IntN(2) == 0 {
				d.Terms = append(d.Terms, term)
			}
		}
		docs = append(docs, d)
	}
	return docs
}

func firstDocuments(docs []chat.Document) []chat.Document {
	var first []chat.Document
	for _, d := range docs {
		if !slices.ContainsFunc(first, func(f chat.Document) bool {
			return f.Room == d.Room && f.Source == d.Source && f.ID == d.ID
		}) {
			first = append(first, d)
		}
	}
	return first
}

func randomQuery(rnd *rand.Rand) chat.Query {
	q := chat.Query{Limit: 1 + rnd.IntN(12)}
	for _, room := range []chat.RoomID{"two", "one", "three", "four"} {
		if rnd.IntN(4) > 0 {
			q.Rooms = append(q.Rooms, room)
		}
	}
	terms := []string{"a", "b", "ab", "c"}
	for range 1 + rnd.IntN(2) {
		var w chat.Word
		for range 1 + rnd.IntN(2) {
			var alternative []string
			for range 1 + rnd.IntN(2) {
				alternative = append(alternative, terms[rnd.IntN(len(terms))])
			}
			w.Any = append(w.Any, alternative)
		}
		q.Words = append(q.Words, w)
	}
	if rnd.IntN(3) == 0 {
		q.From = []chat.UserID{"bob", "carol"}[:1+rnd.IntN(2)]
	}
	if rnd.IntN(4) == 0 {
		q.After = epoch.Add(2 * time.Millisecond)
	}
	if rnd.IntN(4) == 0 {
		q.Before = epoch.Add(6 * time.Millisecond)
	}
	return q
}

// wantSearch compares a search with one through all documents.
func wantSearch(t *testing.T, s chat.SearchIndex, docs []chat.Document, q chat.Query) []chat.Hit {
	t.Helper()
	var want []chat.Hit
	for _, d := range docs {
		hit := hitOf(d)
		if slices.Contains(q.Rooms, d.Room) && matches(q.Words, d.Terms) &&
			(len(q.From) == 0 || slices.Contains(q.From, (&chat.Event{Source: d.Source}).User())) &&
			!d.Time.Before(q.After) && (q.Before.IsZero() || d.Time.Before(q.Before)) &&
			(q.Cursor == chat.Hit{} || newestFirst(q.Cursor, hit) < 0) {
			want = append(want, hit)
		}
	}
	slices.SortFunc(want, newestFirst)
	wantMore := len(want) > q.Limit
	want = want[:min(len(want), q.Limit)]
	got, more, err := s.Search(t.Context(), q)
	must(t, err)
	if len(got) != len(want) || len(got) > 0 && describe(got) != describe(want) || more != wantMore {
		t.Fatalf("%s:\n got %v %s\nwant %v %s", describe(q), more, describe(got), wantMore, describe(want))
	}
	return got
}

func matches(ws []chat.Word, terms []string) bool {
	for _, w := range ws {
		if !slices.ContainsFunc(w.Any, func(alternative []string) bool {
			return !slices.ContainsFunc(alternative, func(term string) bool { return !slices.Contains(terms, term) })
		}) {
			return false
		}
	}
	return true
}

func invalidQueries(t *testing.T, s chat.SearchIndex) {
	long := slices.Repeat([][]string{{"term"}}, chat.MaxQueryTerms+1)
	for name, q := range map[string]chat.Query{
		"no limit":             {Words: words("term")},
		"no words":             {Limit: 1},
		"a word without terms": {Limit: 1, Words: []chat.Word{{}}},
		"an empty alternative": {Limit: 1, Words: []chat.Word{{Any: [][]string{{}}}}},
		"an empty term":        {Limit: 1, Words: words("")},
		"a term with a NUL":    {Limit: 1, Words: words("a\x00")},
		"too many terms":       {Limit: 1, Words: []chat.Word{{Any: long}}},
		"not a room":           {Limit: 1, Words: words("term"), Rooms: []chat.RoomID{"a\x00"}},
		"not a user":           {Limit: 1, Words: words("term"), From: []chat.UserID{"a\x00"}},
	} {
		_, _, err := s.Search(t.Context(), q)
		if chat.KindOf(err) != chat.Invalid || err == nil {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
}

func hitOf(d chat.Document) chat.Hit {
	return chat.Hit{Room: d.Room, Sequence: d.Sequence, Time: d.Time}
}

func newestFirst(a, b chat.Hit) int {
	return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(b.Room, a.Room), cmp.Compare(b.Sequence, a.Sequence))
}

// wantDump compares all postings with those of the documents, and two dumps with
// each other: the order is fixed.
func wantDump(t *testing.T, s chat.SearchIndex, docs []chat.Document) {
	t.Helper()
	dump := func() (lines []string) {
		must(t, s.Dump(t.Context(), func(room chat.RoomID, term string, hit chat.Hit) error {
			lines = append(lines, fmt.Sprint(room, " ", term, " ", describe(hit)))
			return nil
		}))
		return lines
	}
	got := dump()
	if again := dump(); !slices.Equal(got, again) {
		t.Fatal("two dumps of one index differ")
	}
	var want []string
	for _, d := range docs {
		for _, term := range d.Terms {
			want = append(want, fmt.Sprint(d.Room, " ", term, " ", describe(hitOf(d))))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("got %d postings, want %d:\n got %v\nwant %v", len(got), len(want), got, want)
	}
}
