package chattest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"knatter.dev/chat"
)

// ChangedIndex checks that a [chat.SearchIndex] follows edits and deletions.
func ChangedIndex(t *testing.T, open func(t *testing.T) chat.SearchIndex) {
	ctx := t.Context()
	const lasting = chat.Lasting + "file"
	posted := document("room", "alice", "1", 1, "old", "both", lasting)
	edit := func(id string, seq chat.Sequence, terms ...string) chat.Document {
		d := document("room", "alice", id, seq, terms...)
		d.About = 1
		return d
	}
	deletion := func(user chat.UserID, id string, seq chat.Sequence) chat.Document {
		d := document("room", user, id, seq)
		d.About, d.Deleted = 1, true
		return d
	}
	foreign := edit("5", 5, "foreign")
	foreign.Source = chat.SourceOf("bob")

	for name, docs := range map[string][]chat.Document{
		"an edit":                               {posted, edit("2", 2, "new", "both")},
		"the highest edit counts":               {posted, edit("2", 2, "new"), edit("3", 3, "newer"), edit("4", 4, "both")},
		"an edit without a term":                {posted, edit("2", 2)},
		"an edit sent again is below the next":  {posted, edit("2", 2, "new"), edit("3", 3, "newer"), edit("2", 4, "new")},
		"an edit as another message's":          {posted, edit("1", 3, "new"), document("room", "alice", "9", 9, "old")},
		"a foreign edit does not count":         {posted, foreign},
		"nor one over another":                  {posted, edit("2", 2, "new"), foreign},
		"nothing lasting comes by an edit":      {document("room", "alice", "1", 1, "old"), edit("2", 2, "new", lasting)},
		"a deletion":                            {posted, deletion("bob", "2", 2)},
		"a deletion is final":                   {posted, deletion("bob", "2", 2), edit("3", 3, "new")},
		"a deletion of what was edited":         {posted, edit("2", 2, "new"), deletion("alice", "3", 3)},
		"two deletions":                         {posted, deletion("bob", "2", 2), deletion("alice", "3", 3)},
		"a message sent again under its edit":   {posted, edit("2", 2, "new"), document("room", "alice", "1", 3, "old")},
		"an edit of what was sent again":        {document("room", "alice", "1", 1, "old"), document("room", "alice", "1", 2, "old"), about(edit("3", 3, "new"), 2)},
		"a change of what is not there":         {about(edit("2", 3, "new"), 2), about(deletion("alice", "3", 4), 2)},
		"an edit under the id of a message":     {posted, document("room", "alice", "2", 2, "old"), edit("2", 3, "new")},
		"a message under the id of an edit":     {posted, edit("2", 2, "new"), document("room", "alice", "2", 3, "old")},
		"a deletion under the id of a message":  {posted, document("room", "bob", "2", 2, "old"), deletion("bob", "2", 3)},
		"a deletion under the id of an edit":    {posted, edit("2", 2, "new"), deletion("alice", "2", 3)},
		"an edit under that of another message": {posted, document("room", "alice", "2", 2, "old"), edit("3", 3, "new"), about(edit("3", 4, "newer"), 2)},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			permute(docs, func(docs []chat.Document) {
				must(t, s.Wipe(ctx))
				for i := range docs {
					must(t, s.Put(ctx, docs[i:i+1]))
				}
				wantIndexed(t, s, docs)
				must(t, s.Put(ctx, docs))
				wantIndexed(t, s, docs)
			})
		})
	}

	t.Run("in any order and again", func(t *testing.T) {
		shuffled(t, open, func(t *testing.T, s chat.SearchIndex, rnd *rand.Rand) {
			docs := livelyDocuments(rnd)
			for _, batch := range deliveries(rnd, docs) {
				must(t, s.Put(ctx, batch))
			}
			stored := currentDocuments(docs)
			wantDump(t, s, stored)
			for range 20 {
				wantSearch(t, s, stored, livelyQuery(rnd))
			}
		})
	})

	t.Run("concurrently", func(t *testing.T) {
		s := open(t)
		rnd := rand.New(rand.NewPCG(5, 6))
		docs := livelyDocuments(rnd)
		putConcurrently(t, rnd, 4, docs, s.Put)
		wantDump(t, s, currentDocuments(docs))
	})

	t.Run("a change of nothing is refused", func(t *testing.T) {
		s := open(t)
		never, itself, later := deletion("alice", "2", 2), edit("2", 2, "new"), edit("2", 2, "new")
		never.About, itself.About, later.About = 0, 2, 3
		for _, d := range []chat.Document{never, itself, later} {
			wantKind(t, s.Put(ctx, []chat.Document{d}), chat.Invalid)
		}
		wantDump(t, s, nil)
	})
}

// about is the change as one of another message.
func about(d chat.Document, m chat.Sequence) chat.Document {
	d.About = m
	return d
}

// permute calls f with all orders of the documents, or some of many.
func permute(docs []chat.Document, f func([]chat.Document)) {
	orders := 0
	var from func(n int)
	from = func(n int) {
		if n == len(docs) {
			if orders++; len(docs) <= 3 || orders%5 == 0 {
				f(slices.Clone(docs))
			}
			return
		}
		for i := n; i < len(docs); i++ {
			docs[n], docs[i] = docs[i], docs[n]
			from(n + 1)
			docs[n], docs[i] = docs[i], docs[n]
		}
	}
	docs = slices.Clone(docs)
	from(0)
}

// wantIndexed compares searches for each term and the sender, and the dump, with what
// the documents come to.
func wantIndexed(t *testing.T, s chat.SearchIndex, docs []chat.Document) {
	t.Helper()
	stored := currentDocuments(docs)
	wantDump(t, s, stored)
	for _, ws := range [][]chat.Word{words("old"), words("new"), words("both"), words("newer"), words("new", "both"), words("old", "new"), words("foreign"), words(chat.Lasting + "file"), nil} {
		for _, from := range [][]chat.UserID{nil, {"alice"}, {"bob"}, {"bob", "alice"}} {
			if len(from) > 0 || len(ws) > 0 {
				wantSearch(t, s, stored, chat.Query{Rooms: []chat.RoomID{"room"}, Words: ws, From: from, Limit: 10})
			}
		}
	}
}

// currentDocuments are the messages that the documents come to, with their terms.
func currentDocuments(docs []chat.Document) (messages []chat.Document) {
	docs = slices.Clone(docs)
	slices.SortFunc(docs, func(a, b chat.Document) int { return int(a.Sequence - b.Sequence) })
	firsts := firstDocuments(docs)
	for _, m := range firsts {
		if m.About != 0 {
			continue
		}
		deleted := false
		own := m.Terms
		for _, d := range firsts {
			switch {
			case d.Room != m.Room || d.About != m.Sequence:
			case d.Deleted:
				deleted = true
			case d.Source == m.Source: // the last one is the highest
				m.Terms = slices.DeleteFunc(slices.Clone(d.Terms), isLasting)
				m.Terms = append(m.Terms, slices.DeleteFunc(slices.Clone(own), func(term string) bool { return !isLasting(term) })...)
			}
		}
		if !deleted {
			messages = append(messages, m)
		}
	}
	return messages
}

func isLasting(term string) bool { return term[:1] == chat.Lasting }

var livelyTerms = []string{"a", "b", "ab", "c", chat.Lasting + "x"}

// livelyDocuments are messages, edits and deletions, some of them sent again, and some of
// those as something else, in the order of their sequences.
func livelyDocuments(rnd *rand.Rand) (docs []chat.Document) {
	var messages []chat.Document
	for seq := chat.Sequence(1); seq <= 60; seq++ {
		d := document(
			chat.RoomID([]string{"one", "two"}[rnd.IntN(2)]),
			chat.UserID([]string{"alice", "bob"}[rnd.IntN(2)]),
			fmt.Sprint(seq), seq)
		d.Time = epoch.Add(time.Duration(int(seq)/4+rnd.IntN(8)) * time.Millisecond) // clocks differ
		for _, term := range livelyTerms {
			if rnd.IntN(2) == 0 {
				d.Terms = append(d.Terms, term)
			}
		}
		if len(messages) > 0 && rnd.IntN(2) == 0 {
			m := messages[max(0, len(messages)-1-rnd.IntN(20))]
			d.Room, d.About = m.Room, m.Sequence
			switch rnd.IntN(8) {
			case 0:
				d.Deleted, d.Terms = true, nil
			case 1:
			default:
				d.Source = m.Source
			}
		}
		if len(docs) > 0 && rnd.IntN(4) == 0 {
			again := docs[rnd.IntN(len(docs))]
			if rnd.IntN(3) > 0 {
				again.Sequence, again.Time = d.Sequence, d.Time
				d = again
			} else if again.Room == d.Room {
				d.Source, d.ID = again.Source, again.ID
			}
		}
		if d.About == 0 {
			messages = append(messages, d)
		}
		docs = append(docs, d)
	}
	return docs
}

func livelyQuery(rnd *rand.Rand) chat.Query {
	q := chat.Query{Rooms: []chat.RoomID{"one", "two", "three"}[rnd.IntN(2):], Limit: 1 + rnd.IntN(40)}
	for range rnd.IntN(3) {
		q.Words = append(q.Words, chat.Word{Any: [][]string{{livelyTerms[rnd.IntN(5)], livelyTerms[rnd.IntN(5)]}, {livelyTerms[rnd.IntN(5)]}}[rnd.IntN(2):]})
	}
	if len(q.Words) == 0 || rnd.IntN(3) == 0 {
		q.From = []chat.UserID{"bob", "alice"}[:1+rnd.IntN(2)]
	}
	return q
}
