package pebble

import (
	"bytes"
	"cmp"
	"context"
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// A document is first kept as it is, in one row: "recent". When a room has enough
// of them their terms become rows of postings, one for each term rather than one
// for each term of each document, and the recent rows go. In a room's talk most
// terms come again, so that is a fraction of the rows; and the more a document
// has to say, the smaller a fraction.
//
// enough is what makes them be so, at most: a search looks at each recent document
// of its rooms. Each room has its own share of that, between half and all, so that
// rooms which fill up alike are not all sealed at once.
var enough = recents{documents: 512, bytes: 512 << 10}

// mostRecent bounds the memory for recent documents, all of which are held there
// too. Above it the rooms that have most are sealed with what they have.
const mostRecent = 128 << 20

// relief is how much less than the most there is to be then, as a fraction: so
// little that sealing that much does not take long.
const relief = 1.0 / 64

// recents are how many recent documents a room has, or may have.
type recents struct{ documents, bytes int }

func (r recents) reaches(most recents, share float64) bool {
	return float64(r.documents) >= float64(most.documents)*share || float64(r.bytes) >= float64(most.bytes)*share
}

// recentRoom is a room with recent documents.
type recentRoom struct {
	docs  []recentDocument // from old to new; what a search has got of it never changes
	bytes int
	share float64 // of enough, that makes it full
}

// recentDocument is one of them: its value is the sender and the terms, each
// followed by NUL.
type recentDocument struct {
	at      place
	value   []byte
	present signature
}

// size is what the document takes in memory, roughly.
func (d *recentDocument) size() int { return len(d.value) + 96 }

// signature has a bit for each term of a document, by its hash: most documents
// that don't have a term show so without being read. That of a long document would
// be nearly full, and is.
type signature [4]uint64

// longValue is how many bytes make a document long.
const longValue = 2048

var saturated = signature{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

var seed = maphash.MakeSeed()

// bitOf is a term's place in signatures.
func bitOf(term []byte) uint8 { return uint8(maphash.Bytes(seed, term)) }

func (s *signature) set(bit uint8)      { s[bit>>6] |= 1 << (bit & 63) }
func (s *signature) has(bit uint8) bool { return s[bit>>6]&(1<<(bit&63)) != 0 }

// placed is a document that comes to a room, or goes.
type placed struct {
	room chat.RoomID
	doc  recentDocument
}

func recentKey(dst []byte, room chat.RoomID, p place) []byte {
	return append(appendName(dst, kindRecent, room), p[:]...)
}

func newRecent(d *chat.Document) recentDocument {
	sender := (&chat.Event{Source: d.Source}).User()
	if !sender.Valid() {
		sender = ""
	}
	size := len(sender) + 1
	for _, term := range d.Terms {
		size += len(term) + 1
	}
	value := append(append(make([]byte, 0, size), sender...), 0)
	for _, term := range d.Terms {
		value = append(append(value, term...), 0)
	}
	return recentAt(placeOf(d.Time, d.Sequence), value)
}

// recentAt is the document with such a value.
func recentAt(at place, value []byte) recentDocument {
	d := recentDocument{at: at, value: value}
	if len(value) > longValue {
		d.present = saturated
		return d
	}
	d.terms(func(term []byte) { d.present.set(bitOf(term)) })
	return d
}

// sender is the document's, "" when it has none.
func (d *recentDocument) sender() []byte {
	return d.value[:max(bytes.IndexByte(d.value, 0), 0)]
}

// terms calls f with each.
func (d *recentDocument) terms(f func(term []byte)) {
	_, rest, _ := bytes.Cut(d.value, []byte{0})
	for len(rest) > 0 {
		var term []byte
		term, rest, _ = bytes.Cut(rest, []byte{0})
		f(term)
	}
}

// needle is a term, or a sender, as it is looked for in recent documents.
type needle struct {
	kind byte
	text []byte // a term between two NULs, a sender with the one behind
	bit  uint8  // of a term
}

func newNeedle(kind byte, text string) needle {
	if kind == kindSender {
		return needle{kind: kind, text: []byte(text + "\x00")}
	}
	return needle{kind: kind, text: []byte("\x00" + text + "\x00"), bit: bitOf([]byte(text))}
}

// has reports whether the document has the term, or the sender.
func (d *recentDocument) has(n *needle) bool {
	if n.kind == kindSender {
		return bytes.HasPrefix(d.value, n.text)
	}
	return d.present.has(n.bit) && bytes.Contains(d.value, n.text)
}

// recentIn reads a room's recent documents, from new to old.
func recentIn(it *pebble.Iterator, room chat.RoomID) ([]recentDocument, error) {
	var docs []recentDocument
	prefix := appendName(nil, kindRecent, room)
	for ok := it.SeekGE(prefix); ok && bytes.HasPrefix(it.Key(), prefix); ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, unavailable(err)
		}
		if len(it.Key()) != len(prefix)+placeLen || len(value) == 0 || value[len(value)-1] != 0 {
			return nil, damaged(it.Key())
		}
		docs = append(docs, recentAt(place(it.Key()[len(prefix):]), bytes.Clone(value)))
	}
	if err := it.Error(); err != nil {
		return nil, unavailable(err)
	}
	return docs, nil
}

// load reads all recent documents into memory.
func (x *Index) load() error {
	it, err := x.s.iterate(context.Background(), []byte{kindRecent})
	if err != nil {
		return err
	}
	defer finish(it, &err)
	for ok := it.First(); ok; ok = it.Valid() {
		room := chat.RoomID(it.Key()[1:max(split(it.Key())-1, 1)])
		var docs []recentDocument
		if docs, err = recentIn(it, room); err != nil {
			return err
		}
		for _, d := range slices.Backward(docs) {
			x.add(room, d)
		}
	}
	if e := it.Error(); e != nil {
		err = unavailable(e)
	}
	return err
}

// keep adds documents that are in the database now, and returns the rooms that
// have enough.
func (x *Index) keep(come []placed) (full []chat.RoomID) {
	slices.SortFunc(come, func(a, b placed) int { // then most are the newest of their room
		return cmp.Or(cmp.Compare(a.room, b.room), b.doc.at.compare(a.doc.at))
	})
	for i := range come {
		room := come[i].room
		r := x.add(room, come[i].doc)
		if i+1 < len(come) && come[i+1].room == room {
			continue
		}
		if (recents{len(r.docs), r.bytes}).reaches(x.enough, r.share) {
			full = append(full, room)
		}
	}
	return full
}

// largest are the rooms to be sealed so that the memory for recent documents is
// within its bounds again, if it is not.
func (x *Index) largest() (rooms []chat.RoomID) {
	excess := x.held - x.most
	if excess <= 0 {
		return nil
	}
	excess += int(float64(x.most) * relief)
	rooms = slices.SortedFunc(maps.Keys(x.recent), func(a, b chat.RoomID) int {
		return cmp.Compare(x.recent[b].bytes, x.recent[a].bytes)
	})
	for i, room := range rooms {
		if excess -= x.recent[room].bytes; excess <= 0 {
			return rooms[:i+1]
		}
	}
	return rooms
}

func (x *Index) add(room chat.RoomID, d recentDocument) *recentRoom {
	r := x.recent[room]
	if r == nil {
		r = &recentRoom{share: 0.5 + rand.Float64()/2}
		x.recent[room] = r
	}
	if n := len(r.docs); n == 0 || d.at.compare(r.docs[n-1].at) < 0 {
		r.docs = append(r.docs, d)
	} else {
		i, same := r.find(d.at)
		if same {
			x.drop(room, d.at)
		}
		r.docs = slices.Insert(slices.Clone(r.docs), i, d)
	}
	r.bytes += d.size()
	x.held += d.size()
	return r
}

// drop removes a document, if it is recent.
func (x *Index) drop(room chat.RoomID, at place) {
	r := x.recent[room]
	if r == nil {
		return
	}
	if i, ok := r.find(at); ok {
		size := r.docs[i].size()
		r.docs = slices.Delete(slices.Clone(r.docs), i, i+1)
		r.bytes -= size
		x.held -= size
	}
}

// find returns where a place is among the documents, or would be.
func (r *recentRoom) find(at place) (int, bool) {
	return slices.BinarySearchFunc(r.docs, at, func(d recentDocument, at place) int { return at.compare(d.at) })
}

// seal makes the room's recent documents rows of postings. It need not be durable:
// if it is lost, the documents are recent again.
//
// What is older than the newest that was sealed before, as it came late, must not
// come between the places of a row, and is kept apart in rows of its own.
func (x *Index) seal(room chat.RoomID) error {
	r := x.recent[room]
	newest, highest, sealed, err := x.sealedUpTo(room)
	if err != nil {
		return err
	}
	late := 0 // up to here
	if sealed {
		late, _ = r.find(newest)
	}
	b := x.s.db.NewBatch()
	for i := range r.docs[:late] {
		setLate(b, room, &r.docs[i])
	}
	setPostings(b, room, r.docs[late:])
	var key []byte
	for i := range r.docs {
		key = recentKey(key[:0], room, r.docs[i].at)
		_ = b.Delete(key, nil)
		highest = max(highest, r.docs[i].at.sequence())
	}
	if late < len(r.docs) {
		newest = r.docs[len(r.docs)-1].at
	}
	_ = b.Set(nameKey(kindNewest, room), appendSequence(newest[:], highest), nil)
	if err := x.s.commit(b, pebble.NoSync); err != nil {
		return err
	}
	// Until here a search finds them twice, in the same places, which is once.
	x.view.Lock()
	defer x.view.Unlock()
	delete(x.recent, room)
	x.held -= r.bytes
	return nil
}

// sealedUpTo is the newest place of a room that has postings, the highest sequence of
// one, and whether there is any.
func (x *Index) sealedUpTo(room chat.RoomID) (newest place, highest chat.Sequence, sealed bool, err error) {
	key := nameKey(kindNewest, room)
	value, sealed, err := x.s.get(key)
	if err != nil || !sealed {
		return newest, 0, false, err
	}
	if len(value) != placeLen+8 {
		return newest, 0, false, damaged(key)
	}
	highest, _ = sequence(value[placeLen:])
	return place(value), highest, true, nil
}

// rowsInARow are made before others get their turn.
const rowsInARow = 256

// setPostings sets one row for each term and each sender of the documents, which
// are ordered from old to new.
func setPostings(b *pebble.Batch, room chat.RoomID, docs []recentDocument) {
	v := inversions.Get().(*inversion)
	defer inversions.Put(v)
	moments := make([]moment, len(docs))
	for i := range docs {
		moments[i] = docs[i].at.moment()
	}
	set := func(kind byte, terms []inverted) {
		var key, value []byte
		// In order they are much cheaper to insert: each one is near the one before.
		for i, p := range terms {
			if i%rowsInARow == rowsInARow-1 {
				runtime.Gosched()
			}
			key = postingKey(key[:0], kind, room, p.text, docs[p.docs[0]].at)
			value = value[:0]
			at := moments[p.docs[0]]
			for _, d := range p.docs[1:] {
				value = appendNewer(value, at, moments[d])
				at = moments[d]
			}
			_ = b.Set(key, value, nil)
		}
	}
	set(kindPosting, v.terms(docs))
	set(kindSender, v.senders(docs))
}

// setLate sets the rows of one document that came late.
func setLate(b *pebble.Batch, room chat.RoomID, d *recentDocument) {
	var key []byte
	d.terms(func(term []byte) {
		key = postingKey(key[:0], kindLatePosting, room, string(term), d.at)
		_ = b.Set(key, nil, nil)
	})
	if sender := d.sender(); len(sender) > 0 {
		key = postingKey(key[:0], kindLateSender, room, string(sender), d.at)
		_ = b.Set(key, nil, nil)
	}
}
