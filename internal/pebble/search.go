package pebble

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// Search implements [chat.SearchIndex].
//
// It first finds the newest match of each room, then reads the rooms in that
// order, and stops at the first room whose newest match is too old to be on the
// page: at most limit+1 rooms are read further, none of them past the page's
// end. One set of iterators, one for each term, serves all rooms.
//
// Errors: Invalid without rooms' ids, a limit, words or terms, or with more than
// 256 terms; Unavailable.
func (x *Index) Search(ctx context.Context, q chat.Query) (hits []chat.Hit, more bool, err error) {
	if err := q.Check(validTerm); err != nil {
		return nil, false, err
	}
	if err := x.s.enter(ctx); err != nil {
		return nil, false, err
	}
	defer x.s.leave()
	among := q.DistinctRooms()
	s := &search{ctx: ctx, q: &q}
	s.recent, s.edited, s.view = x.look(among)
	defer s.close(&err)
	root, err := s.plan()
	if err != nil {
		return nil, false, err
	}

	type candidate struct {
		hit  chat.Hit
		at   place
		last place
	}
	var rooms []candidate
	for _, room := range among {
		from, last, ok := s.bounds(room)
		if !ok {
			continue
		}
		at, ok, err := s.first(root, room, from, last)
		if err != nil {
			return nil, false, err
		}
		if ok {
			rooms = append(rooms, candidate{hit: at.hit(room), at: at, last: last})
		}
	}
	slices.SortFunc(rooms, func(a, b candidate) int { return chat.CompareHits(a.hit, b.hit) })

	for _, r := range rooms {
		page := len(hits) // of this room's hits, only those newer than these can matter
		for at, ok := r.at, true; ok; {
			hit := at.hit(r.hit.Room)
			if page > q.Limit && chat.CompareHits(hit, hits[q.Limit]) > 0 || len(hits)-page > q.Limit {
				break
			}
			hits = append(hits, hit)
			if at, ok, err = s.first(root, r.hit.Room, at.next(), r.last); err != nil {
				return nil, false, err
			}
		}
		if len(hits) == page {
			break // all further rooms are older still
		}
		slices.SortFunc(hits, chat.CompareHits)
		hits = hits[:min(len(hits), q.Limit+1)]
	}
	if len(hits) > q.Limit {
		return hits[:q.Limit], true, nil
	}
	return hits, false, nil
}

// search is one search under way.
type search struct {
	ctx   context.Context
	q     *chat.Query
	terms []*term
	steps int

	view      *pebble.Snapshot
	recent    map[chat.RoomID][]recentDocument
	edited    map[chat.RoomID]bool
	iterators []*pebble.Iterator
	err       error // of an iterator or the context; ends the search
}

// look is the index as it is now: the rooms' recent documents, those that have edited
// messages, and the database.
func (x *Index) look(rooms []chat.RoomID) (recent map[chat.RoomID][]recentDocument, edited map[chat.RoomID]bool, view *pebble.Snapshot) {
	x.view.RLock()
	defer x.view.RUnlock()
	recent, edited = make(map[chat.RoomID][]recentDocument), make(map[chat.RoomID]bool)
	for _, room := range rooms {
		if r := x.recent[room]; r != nil {
			recent[room] = r.docs
		}
		if x.edited[room] {
			edited[room] = true
		}
	}
	return recent, edited, x.s.db.NewSnapshot() // not sooner: what is sealed meanwhile would be missed
}

// iterator opens one for the search, which its close closes. All see the index in
// the same state: what is sealed meanwhile would otherwise be missed.
func (s *search) iterator(o *pebble.IterOptions) (*pebble.Iterator, error) {
	it, err := s.view.NewIterWithContext(s.ctx, o)
	if err != nil {
		return nil, unavailable(err)
	}
	s.iterators = append(s.iterators, it)
	return it, nil
}

func (s *search) close(err *error) {
	for _, it := range s.iterators {
		finish(it, err)
	}
	if e := s.view.Close(); e != nil && *err == nil {
		*err = unavailable(e)
	}
}

// bounds are the newest and the oldest place of a room that the query's cursor
// and times let in; ok is false when there is none.
func (s *search) bounds(room chat.RoomID) (from, last place, ok bool) {
	last = placeAt(0, 0)
	if !s.q.After.IsZero() {
		last = placeAt(milliCeil(s.q.After), 0)
	}
	if !s.q.Before.IsZero() {
		end := milliCeil(s.q.Before)
		if end == 0 {
			return from, last, false
		}
		from = placeAt(end-1, maxSequence)
	}
	if c := s.q.Cursor; c != (chat.Hit{}) {
		older := placeOf(c.Time, c.Sequence).next()
		switch cmp.Compare(room, c.Room) {
		case -1: // same time is older here
			older = placeAt(milliCeil(c.Time), maxSequence)
		case 1: // same time is newer here
			if milliCeil(c.Time) == 0 {
				return from, last, false
			}
			older = placeAt(milliCeil(c.Time)-1, maxSequence)
		}
		if older.compare(from) > 0 {
			from = older
		}
	}
	return from, last, from.compare(last) <= 0
}

const maxSequence = chat.Sequence(1)<<53 - 1

// milliCeil is t in milliseconds since 1970, rounded up, within what a place holds.
func milliCeil(t time.Time) int64 {
	return min(max(t.Add(time.Millisecond-1).UnixMilli(), 0), 1<<48-1)
}

// first finds the newest match of a room from one place to another.
func (s *search) first(p plan, room chat.RoomID, from, last place) (place, bool, error) {
	own, ok, err := s.firstOwn(p.own, room, from, last)
	if err != nil || !s.edited[room] {
		return own, ok, err
	}
	edited, found := p.edits.seek(room, from)
	if s.err != nil {
		return own, false, unavailable(s.err)
	}
	if found && edited.compare(last) <= 0 && (!ok || edited.compare(own) < 0) {
		return edited, true, nil
	}
	return own, ok, nil
}

// firstOwn is as first, by messages' own postings that count.
func (s *search) firstOwn(m matcher, room chat.RoomID, from, last place) (place, bool, error) {
	for {
		at, ok := m.seek(room, from)
		if s.err != nil {
			return at, false, unavailable(s.err)
		}
		if !ok || at.compare(last) > 0 {
			return at, false, nil
		}
		gone, err := removed(s.view, room, at.sequence())
		if err != nil || !gone {
			return at, err == nil, err
		}
		from = at.next()
	}
}

// step counts a move of an iterator and reports whether the caller still waits:
// terms that are common and never meet can take many.
func (s *search) step() bool {
	if s.steps++; s.steps%1024 == 0 && s.err == nil {
		s.err = s.ctx.Err()
	}
	return s.err == nil
}

// matcher walks through the places in a room that match, from new to old.
type matcher interface {
	// seek returns the first match at or behind from. Within a room, from never
	// goes back but to start again at the room's first.
	seek(room chat.RoomID, from place) (place, bool)
}

// term matches a term's postings, and the recent documents that have it.
type term struct {
	s      *search
	kind   byte
	text   string
	edits  bool
	needle needle

	rows   []rows // postings, and those of documents that came late
	room   chat.RoomID
	recent []recentDocument // of the room, those that may still match
	begun  bool
	ended  bool
	sought place // the last place sought
	at     place // the match for it, unless ended
}

func (t *term) seek(room chat.RoomID, from place) (place, bool) {
	if t.room != room || t.begun && from.compare(t.sought) < 0 {
		t.room, t.begun = room, false
		if !t.edits {
			t.recent = t.s.recent[room]
		}
		for i := range t.rows {
			t.rows[i].begin(room, t.text)
		}
	}
	if t.begun && (t.ended || from.compare(t.at) <= 0) {
		return t.at, !t.ended
	}
	if !t.s.step() {
		return t.at, false
	}
	t.begun, t.ended, t.sought = true, true, from
	for i := range t.rows {
		at, ok, err := t.rows[i].seek(from)
		if err != nil {
			t.s.err = cmp.Or(t.s.err, err)
			return t.at, false
		}
		if ok {
			t.match(at)
		}
	}
	for n := len(t.recent); n > 0; n-- {
		if d := &t.recent[n-1]; d.at.compare(from) >= 0 && d.has(&t.needle) {
			t.match(d.at)
			break
		}
		t.recent = t.recent[:n-1]
	}
	return t.at, !t.ended
}

// match takes a place that matches, if it is newer than what does already.
func (t *term) match(at place) {
	if t.ended || at.compare(t.at) < 0 {
		t.at, t.ended = at, false
	}
}

// all matches what every one of its parts matches. The parts leap over each
// other: each one seeks what the one before it has found, until all agree.
type all []matcher

func (a all) simple() matcher {
	if len(a) == 1 {
		return a[0]
	}
	return a
}

func (a all) seek(room chat.RoomID, from place) (place, bool) {
	for i, agreed := 0, 0; agreed < len(a); i = (i + 1) % len(a) {
		at, ok := a[i].seek(room, from)
		if !ok {
			return at, false
		}
		if at == from {
			agreed++
		} else {
			from, agreed = at, 1
		}
	}
	return from, true
}

// anyOf matches what at least one of its parts matches.
type anyOf []matcher

func (a anyOf) simple() matcher {
	if len(a) == 1 {
		return a[0]
	}
	return a
}

func (a anyOf) seek(room chat.RoomID, from place) (best place, found bool) {
	for _, m := range a {
		at, ok := m.seek(room, from)
		if ok && (!found || at.compare(best) < 0) {
			best, found = at, true
		}
	}
	return best, found
}
