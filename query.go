package chat

import (
	"cmp"
	"slices"
)

// MaxQueryTerms is the maximum number of terms of one query.
const MaxQueryTerms = 256

// Check checks that a query can be searched for. validTerm reports whether the index can
// have a term. Errors: Invalid.
func (q *Query) Check(validTerm func(string) bool) error {
	if q.Limit <= 0 {
		return Errorf(Invalid, "limit must be positive")
	}
	if len(q.Words) == 0 && len(q.From) == 0 {
		return Errorf(Invalid, "a query needs a word or a sender")
	}
	terms := len(q.From)
	for _, w := range q.Words {
		if !w.valid(validTerm) {
			return Errorf(Invalid, "a word needs a term")
		}
		for _, alternative := range w.Any {
			terms += len(alternative)
		}
	}
	if terms > MaxQueryTerms {
		return Errorf(Invalid, "the query is too long")
	}
	if slices.ContainsFunc(q.From, func(user UserID) bool { return !user.Valid() }) {
		return Errorf(Invalid, "from must be users' ids")
	}
	if slices.ContainsFunc(q.Rooms, func(r RoomID) bool { return !r.Valid() }) {
		return Errorf(Invalid, "rooms must be rooms' ids")
	}
	return nil
}

func (w Word) valid(validTerm func(string) bool) bool {
	return len(w.Any) > 0 && !slices.ContainsFunc(w.Any, func(alternative []string) bool {
		return len(alternative) == 0 || slices.ContainsFunc(alternative, func(t string) bool { return !validTerm(t) })
	})
}

// DistinctRooms returns the rooms of the query, sorted, each once.
func (q *Query) DistinctRooms() []RoomID {
	return slices.Compact(slices.Sorted(slices.Values(q.Rooms)))
}

// CompareHits orders hits newest first: by time, then by room and sequence.
func CompareHits(a, b Hit) int {
	return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(b.Room, a.Room), cmp.Compare(b.Sequence, a.Sequence))
}
