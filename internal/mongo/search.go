package mongo

import (
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"knatter.dev/chat"
)

// roomsAtOnce is how many rooms one query has. For an order that the index has
// within a room, the server reads that many places of the index side by side and
// merges what it finds, which it does for up to 200; of more it would sort all
// matches.
const roomsAtOnce = 200

// Search implements [chat.SearchIndex].
//
// The index has the messages of a room that have a term by their time. One query
// for each 200 rooms therefore reads no more than the page: the newest entries of
// a term in all of them, merged. Of several terms the server follows one, whichever
// it finds to be the rarer, and looks for the others in the documents. A word with
// alternatives makes as many queries, if all words have some.
//
// By their time alone messages are not in order yet: those of one millisecond are,
// by room and sequence. The index has them in that order too, for a given time.
// So a page is made of up to three parts: what is left of the cursor's own
// millisecond, what is older, and the last millisecond of that in full.
//
// Errors: Invalid without rooms' ids, a limit, words or terms, or with more than
// 256 terms; Unavailable, also when terms that are common and hardly ever meet
// take too long.
func (x *Index) Search(ctx context.Context, q chat.Query) (hits []chat.Hit, more bool, err error) {
	if err := q.Check(validTerm); err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s := &search{x: x, limit: q.Limit + 1, alternatives: alternatives(&q)}
	rooms := q.DistinctRooms()
	var from, before time.Time // zero means no bound
	if !q.After.IsZero() {
		from = milliCeil(q.After)
	}
	if !q.Before.IsZero() {
		before = milliCeil(q.Before)
	}
	if c := q.Cursor; c != (chat.Hit{}) && (before.IsZero() || c.Time.Before(before)) {
		before = milliCeil(c.Time)
		if before.Equal(c.Time) && !before.Before(from) {
			if err := s.rest(ctx, rooms, c); err != nil {
				return nil, false, err
			}
		}
	}
	if len(s.hits) < s.limit {
		if err := s.older(ctx, rooms, from, before); err != nil {
			return nil, false, err
		}
	}
	if len(s.hits) > q.Limit {
		return s.hits[:q.Limit], true, nil
	}
	return s.hits, false, nil
}

// milliCeil is t rounded up to milliseconds, which is what the index has.
func milliCeil(t time.Time) time.Time {
	return t.Add(time.Millisecond - 1).Truncate(time.Millisecond).UTC()
}

// alternatives are conditions on the terms of a message: one of them must hold.
// Each has terms that all must be there, of which the index follows one. What the
// words with several alternatives say is looked up in the documents, except for
// one if no other word has terms that must be there.
func alternatives(q *chat.Query) []bson.D {
	var required []string
	var either []chat.Word
	for _, w := range q.Words {
		if len(w.Any) == 1 {
			required = append(required, w.Any[0]...)
		} else {
			either = append(either, w)
		}
	}
	if len(q.From) > 1 {
		var senders chat.Word
		for _, user := range q.From {
			senders.Any = append(senders.Any, []string{senderTerm(user)})
		}
		either = append(either, senders)
	}
	follow := [][]string{nil}
	if len(required) == 0 && len(either) > 0 {
		slices.SortStableFunc(either, func(a, b chat.Word) int { return len(a.Any) - len(b.Any) })
		follow, either = either[0].Any, either[1:]
	}
	if len(q.From) == 1 { // behind the terms: the first one is followed
		required = append(required, senderTerm(q.From[0]))
	}
	var conditions []bson.D
	for _, terms := range follow {
		condition := bson.D{all(append(slices.Clone(terms), required...))}
		if len(either) > 0 {
			condition = append(condition, bson.E{Key: "$and", Value: lookedUp(either)})
		}
		conditions = append(conditions, condition)
	}
	return conditions
}

func lookedUp(words []chat.Word) (conditions bson.A) {
	for _, w := range words {
		var either bson.A
		for _, terms := range w.Any {
			either = append(either, bson.D{all(terms)})
		}
		conditions = append(conditions, bson.D{{Key: "$or", Value: either}})
	}
	return conditions
}

func all(terms []string) bson.E {
	return bson.E{Key: "terms", Value: bson.D{{Key: "$all", Value: terms}}}
}

// search is one search under way.
type search struct {
	x            *Index
	limit        int // of hits, one more than the page's
	alternatives []bson.D
	hits         []chat.Hit // the newest found so far, in order
}

// add takes what a query has found. What several alternatives match is found
// several times.
func (s *search) add(found []chat.Hit) {
	s.hits = append(s.hits, found...)
	slices.SortFunc(s.hits, chat.CompareHits)
	s.hits = slices.Compact(s.hits)
	s.hits = s.hits[:min(len(s.hits), s.limit)]
}

// rest finds what is left of the cursor's millisecond.
func (s *search) rest(ctx context.Context, rooms []chat.RoomID, c chat.Hit) error {
	at, found := slices.BinarySearch(rooms, c.Room)
	for _, condition := range s.alternatives {
		if found {
			hits, err := s.during(ctx, condition, rooms[at:at+1], c.Time, below("sequence", c.Sequence))
			if err != nil {
				return err
			}
			s.add(hits)
		}
		for some := range slices.Chunk(rooms[:at], roomsAtOnce) {
			hits, err := s.during(ctx, condition, some, c.Time)
			if err != nil {
				return err
			}
			s.add(hits)
		}
	}
	return nil
}

// during finds the newest matches of one millisecond.
func (s *search) during(ctx context.Context, condition bson.D, rooms []chat.RoomID, t time.Time, more ...bson.E) ([]chat.Hit, error) {
	where := append(bson.D{{Key: "room", Value: bson.D{{Key: "$in", Value: rooms}}}, {Key: "time", Value: t}}, more...)
	return s.find(ctx, append(where, condition...), descending("room", "sequence"))
}

// older finds the newest matches from a time up to another.
func (s *search) older(ctx context.Context, rooms []chat.RoomID, from, before time.Time) error {
	for _, condition := range s.alternatives {
		for some := range slices.Chunk(rooms, roomsAtOnce) {
			where := bson.D{{Key: "room", Value: bson.D{{Key: "$in", Value: some}}}}
			if oldest := len(s.hits) - 1; oldest == s.limit-1 && s.hits[oldest].Time.After(from) {
				from = s.hits[oldest].Time // what is older has no place on the page
			}
			var times bson.D
			if !from.IsZero() {
				times = append(times, bson.E{Key: "$gte", Value: from})
			}
			if !before.IsZero() {
				times = append(times, bson.E{Key: "$lt", Value: before})
			}
			if len(times) > 0 {
				where = append(where, bson.E{Key: "time", Value: times})
			}
			hits, err := s.find(ctx, append(where, condition...), descending("time", "sequence"))
			if err != nil {
				return err
			}
			if len(hits) == s.limit { // there may be more of the last millisecond, in front of those
				last := hits[len(hits)-1].Time
				hits = slices.DeleteFunc(hits, func(h chat.Hit) bool { return h.Time.Equal(last) })
				full, err := s.during(ctx, condition, some, last)
				if err != nil {
					return err
				}
				hits = append(hits, full...)
			}
			s.add(hits)
		}
	}
	return nil
}

func (s *search) find(ctx context.Context, where, order bson.D) ([]chat.Hit, error) {
	docs, err := find[document](ctx, s.x.all, where, limited(s.limit).
		SetSort(order).SetProjection(bson.D{{Key: "room", Value: 1}, {Key: "time", Value: 1}, {Key: "sequence", Value: 1}, {Key: "_id", Value: 0}}))
	if err != nil {
		return nil, err
	}
	hits := make([]chat.Hit, len(docs))
	for i := range docs {
		hits[i] = docs[i].hit()
	}
	return hits, nil
}
