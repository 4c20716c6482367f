package pebble

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// A message that is edited or deleted keeps the postings that it has, as those that are
// sealed cannot be rewritten. They do not count while a row of kindRemoved says so, and
// the terms of the edit that counts have rows of their own, which go when another counts.
//
// All edits and deletions are kept, each in a row. So whatever comes late, and whichever
// turns out to be an earlier one that was sent again, the one that counts is found.

// changeID is what follows the room in the row of an edit or a deletion: the message, the
// rank and the event's sequence. Deletions come last, and in front of all is the row that
// says where the message is.
type changeID [changeLen]byte

const changeLen = 8 + 1 + 8

// Ranks of the rows of a message.
const (
	rankPlace byte = iota
	rankEdit
	rankDeletion
)

func changeOf(d *chat.Document) (id changeID) {
	rank := rankEdit
	if d.Deleted {
		rank = rankDeletion
	}
	appendSequence(append(appendSequence(id[:0], d.About), rank), d.Sequence)
	return id
}

func (id changeID) message() chat.Sequence  { s, _ := sequence(id[:8]); return s }
func (id changeID) sequence() chat.Sequence { s, _ := sequence(id[9:]); return s }

// changePrefix is what the rows of a message have in common, up to their rank.
func changePrefix(dst []byte, m message) []byte {
	return eventKey(dst, kindChange, m.room, m.sequence)
}

// placeKey is the row that says where a message is that was edited.
func placeKey(m message) []byte { return append(changePrefix(nil, m), rankPlace) }

// message is one of a room.
type message struct {
	room     chat.RoomID
	sequence chat.Sequence
}

// changed is an edit or a deletion that comes, or goes as it was one sent again.
type changed struct {
	room  chat.RoomID
	id    changeID
	value []byte // of its row
	goes  bool
}

// newChange is what a document says of another message.
func newChange(d *chat.Document) changed {
	c := changed{room: d.Room, id: changeOf(d)}
	if !d.Deleted {
		edit := *d
		edit.Terms = nil
		for _, term := range d.Terms {
			if !lasting(term) {
				edit.Terms = append(edit.Terms, term)
			}
		}
		doc := newRecent(&edit)
		c.value = doc.value
	}
	return c
}

// settling is what becomes of the messages that a batch of documents concerns beyond
// their being there.
type settling struct {
	x    *Index
	b    *pebble.Batch // indexed, as what it has is read again
	come map[message]*recentDocument
	gone map[message]bool

	edited  map[chat.RoomID]bool
	awaited map[message]bool // or, if false, no more
}

// settle adds to the batch what follows for messages that were edited or deleted; nil if
// there are none, as nearly always.
func (x *Index) settle(b *pebble.Batch, come, gone []placed, changes []changed) (_ *settling, err error) {
	before := make(map[message]*shown)
	for _, c := range changes {
		before[message{c.room, c.id.message()}] = nil
	}
	for i := range gone {
		before[gone[i].message()] = nil
	}
	if len(x.awaited) > 0 {
		for i := range come {
			if m := come[i].message(); x.awaited[m] {
				before[m] = nil
			}
		}
	}
	if len(before) == 0 {
		return nil, nil
	}
	s := &settling{
		x: x, b: x.s.db.NewIndexedBatch(), come: make(map[message]*recentDocument), gone: make(map[message]bool),
		edited: make(map[chat.RoomID]bool), awaited: make(map[message]bool),
	}
	defer func() { err = errors.Join(err, s.b.Close()) }()
	for i := range come {
		s.come[come[i].message()] = &come[i].doc
	}
	for m := range before {
		if before[m], err = s.shown(x.s.db, m); err != nil {
			return nil, err
		}
	}
	s.take(gone, changes)
	for m, was := range before {
		if err := s.settle(m, was); err != nil {
			return nil, err
		}
	}
	if err := b.Apply(s.b, nil); err != nil {
		return nil, unavailable(err)
	}
	return s, nil
}

func (p *placed) message() message { return message{p.room, p.doc.at.sequence()} }

// take writes the rows of what comes, and removes those of what goes.
func (s *settling) take(gone []placed, changes []changed) {
	var key []byte
	for i := range gone {
		m := gone[i].message()
		s.gone[m] = true
		_ = s.b.Delete(placeKey(m), nil)
	}
	for _, c := range changes {
		key = append(appendName(key[:0], kindChange, c.room), c.id[:]...)
		if c.goes {
			_ = s.b.Delete(key, nil)
		} else {
			_ = s.b.Set(key, c.value, nil)
		}
	}
}

// settle makes of a message what its changes say, which was shown another way before.
func (s *settling) settle(m message, was *shown) error {
	now, err := s.shown(s.b, m)
	if err != nil {
		return err
	}
	if now.edited && !now.known {
		at, user, ok, err := s.where(m, now.editors)
		if err != nil {
			return err
		}
		if ok {
			_ = s.b.Set(placeKey(m), append(bytes.Clone(at[:]), user...), nil)
			if now, err = s.shown(s.b, m); err != nil {
				return err
			}
		}
	}
	if awaited := now.edited && !now.known; awaited != s.x.awaited[m] {
		s.awaited[m] = awaited
		key := eventKey(nil, kindAwaited, m.room, m.sequence)
		if awaited {
			_ = s.b.Set(key, nil, nil)
		} else {
			_ = s.b.Delete(key, nil)
		}
	}
	if !s.gone[m] {
		if err := s.hide(m, now.deleted || now.terms != nil); err != nil {
			return err
		}
	}
	if was.sameAs(now) {
		return nil
	}
	was.rows(m.room, func(key []byte) { _ = s.b.Delete(key, nil) })
	now.rows(m.room, func(key []byte) {
		s.edited[m.room] = true
		_ = s.b.Set(key, nil, nil)
	})
	return nil
}

// hide says whether the postings count that a message has of its own. Those of one that
// gave way to an earlier one never do again.
func (s *settling) hide(m message, hidden bool) error {
	key := eventKey(nil, kindRemoved, m.room, m.sequence)
	value, there, err := s.x.s.get(key)
	switch {
	case err != nil:
		return err
	case hidden && !there:
		_ = s.b.Set(key, []byte{1}, nil)
	case !hidden && there && len(value) > 0:
		_ = s.b.Delete(key, nil)
	}
	return nil
}

// shown is how a message that was changed is found.
type shown struct {
	known   bool
	at      place
	user    []byte
	edited  bool     // by anybody
	editors []string // if it is not known
	deleted bool
	terms   []byte // the recent document of the edit that counts, nil if none does
}

// shown reads it from the rows of a message.
func (s *settling) shown(from pebble.Reader, m message) (_ *shown, err error) {
	prefix := changePrefix(nil, m)
	it, err := from.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return nil, unavailable(err)
	}
	defer finish(it, &err)
	w := &shown{}
	n := len(prefix)
	if it.Last() && len(it.Key()) > n && it.Key()[n] == rankDeletion {
		w.deleted = true
	}
	if it.First() && len(it.Key()) == n+1 {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, unavailable(err)
		}
		if len(value) < placeLen {
			return nil, damaged(it.Key())
		}
		w.known, w.at, w.user = true, place(value), bytes.Clone(value[placeLen:])
	}
	for ok := it.SeekLT(append(prefix, rankDeletion)); ok && len(it.Key()) > n+1; ok = it.Prev() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, unavailable(err)
		}
		doc := recentDocument{value: value}
		w.edited = true
		if !w.known {
			w.editors = append(w.editors, string(doc.sender()))
			continue
		}
		if len(w.user) > 0 && !w.deleted {
			if !bytes.Equal(doc.sender(), w.user) {
				continue
			}
			w.terms = bytes.Clone(value)
		}
		break
	}
	if err := it.Error(); err != nil {
		return nil, unavailable(err)
	}
	return w, nil
}

func (w *shown) sameAs(o *shown) bool { return w.at == o.at && bytes.Equal(w.terms, o.terms) }

// editedMark is a term of all edited messages.
const editedMark = "\x01"

// rows calls f with the rows of an edited message that is found by its edit.
func (w *shown) rows(room chat.RoomID, f func(key []byte)) {
	if w.terms == nil {
		return
	}
	doc := recentDocument{at: w.at, value: w.terms}
	f(postingKey(nil, kindEditedPosting, room, editedMark, w.at))
	f(postingKey(nil, kindEditedSender, room, string(w.user), w.at))
	doc.terms(func(term []byte) { f(postingKey(nil, kindEditedPosting, room, string(term), w.at)) })
}

// where finds a message, which is recent or among the postings of one of its editors.
func (s *settling) where(m message, editors []string) (at place, _ []byte, ok bool, err error) {
	if doc := s.come[m]; doc != nil {
		return doc.at, doc.sender(), true, nil
	}
	if s.gone[m] {
		return at, nil, false, nil
	}
	if r := s.x.recent[m.room]; r != nil {
		for i := range r.docs {
			if d := &r.docs[i]; d.at.sequence() == m.sequence {
				return d.at, d.sender(), true, nil
			}
		}
	}
	value, there, err := s.x.s.get(eventKey(nil, kindRemoved, m.room, m.sequence))
	if err != nil || there && len(value) == 0 {
		return at, nil, false, err
	}
	slices.Sort(editors)
	for _, user := range slices.Compact(editors) {
		if at, ok, err = s.x.sealedAt(m, user); ok || err != nil {
			return at, []byte(user), ok, err
		}
	}
	return at, nil, false, nil
}

// sealedAt finds a message among the postings of its user, from new to old: what is
// edited is new, mostly.
func (x *Index) sealedAt(m message, user string) (_ place, ok bool, err error) {
	_, highest, sealed, err := x.sealedUpTo(m.room)
	if err != nil || !sealed || m.sequence > highest {
		return place{}, false, err
	}
	for _, kind := range []byte{kindSender, kindLateSender} {
		at, ok, err := x.amongSenders(kind, m, user)
		if ok || err != nil {
			return at, ok, err
		}
	}
	return place{}, false, nil
}

func (x *Index) amongSenders(kind byte, m message, user string) (at place, ok bool, err error) {
	it, err := x.s.seeker(context.Background(), nil)
	if err != nil {
		return at, false, err
	}
	defer finish(it, &err)
	r := rows{it: it, kind: kind}
	r.begin(m.room, user)
	for from := (place{}); ; from = at.next() {
		at, ok, err = r.seek(from)
		if err != nil {
			return at, false, unavailable(err)
		}
		if !ok || at.sequence() == m.sequence {
			return at, ok, nil
		}
	}
}

// keep takes what is in the database now.
func (s *settling) keep() {
	if s == nil {
		return
	}
	for m, awaited := range s.awaited {
		if awaited {
			s.x.awaited[m] = true
		} else {
			delete(s.x.awaited, m)
		}
	}
}

// announce tells searches which rooms have edited messages, before there are any.
func (s *settling) announce() {
	if s == nil || len(s.edited) == 0 {
		return
	}
	s.x.view.Lock()
	defer s.x.view.Unlock()
	maps.Copy(s.x.edited, s.edited)
}

// loadChanges reads which rooms have edited messages, and which messages are awaited.
func (x *Index) loadChanges() (err error) {
	it, err := x.s.iterate(context.Background(), []byte{kindEditedSender})
	if err != nil {
		return err
	}
	defer finish(it, &err)
	for ok := it.First(); ok; {
		room, _, _ := bytes.Cut(it.Key()[1:], []byte{0})
		x.edited[chat.RoomID(room)] = true
		ok = it.SeekGE(after(appendName(nil, kindEditedSender, chat.RoomID(room))))
	}
	if err := it.Error(); err != nil {
		return unavailable(err)
	}
	awaited, err := x.s.iterate(context.Background(), []byte{kindAwaited})
	if err != nil {
		return err
	}
	defer finish(awaited, &err)
	for ok := awaited.First(); ok; ok = awaited.Next() {
		key := awaited.Key()
		n := split(key)
		at, ok := sequence(key[n:])
		if !ok {
			return damaged(key)
		}
		x.awaited[message{chat.RoomID(key[1:max(n-1, 1)]), at}] = true
	}
	if err := awaited.Error(); err != nil {
		return unavailable(err)
	}
	return nil
}
