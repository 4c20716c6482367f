package pebble

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// A document is first kept as it is, in one row: "recent". When a room has enough
// of them their terms become rows of postings, one for each term rather than one
// for each term of each document, and the recent rows go. In a room's talk most
// terms come again, so that is a fraction of the rows; and the more a document
// has to say, the smaller a fraction.
//
// enough is what makes them be so, at most. A search has to look at each recent
// document, and while they are few enough to be sealed before the database flushes
// them they hardly cost it anything. Each room has its own share of that, between
// half and all, so that rooms which fill up alike are not all sealed at once.
var enough = recents{documents: 128, bytes: 256 << 10}

// maxCounted bounds the rooms whose recent documents are counted in memory; the
// others are counted again when they get one.
const maxCounted = 100_000

// recents are how many recent documents a room has, or may have.
type recents struct{ documents, bytes int }

func (r recents) reaches(most recents, share float64) bool {
	return float64(r.documents) >= float64(most.documents)*share || float64(r.bytes) >= float64(most.bytes)*share
}

// counted is a room with recent documents.
type counted struct {
	recents
	share float64 // of enough, that makes it full
}

func newCounted() counted { return counted{share: 0.5 + rand.Float64()/2} }

// recentDocument is one of them: its value is the sender and the terms, each
// followed by NUL.
type recentDocument struct {
	at    place
	value []byte
}

func recentKey(dst []byte, room chat.RoomID, p place) []byte {
	return append(appendName(dst, kindRecent, room), p[:]...)
}

func appendRecent(dst []byte, d *chat.Document) []byte {
	event := chat.Event{Source: d.Source}
	if sender := event.User(); sender.Valid() {
		dst = append(dst, sender...)
	}
	dst = append(dst, 0)
	for _, term := range d.Terms {
		dst = append(append(dst, term...), 0)
	}
	return dst
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

// has tells whether the document has the term, or the sender; text is that
// between two NULs, of a sender only the one behind.
func (d *recentDocument) has(kind byte, text []byte) bool {
	if kind == kindSender {
		return bytes.HasPrefix(d.value, text)
	}
	return bytes.Contains(d.value, text)
}

// needle is text as has takes it.
func needle(kind byte, text string) []byte {
	if kind == kindSender {
		return []byte(text + "\x00")
	}
	return []byte("\x00" + text + "\x00")
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
		docs = append(docs, recentDocument{place(it.Key()[len(prefix):]), bytes.Clone(value)})
	}
	if err := it.Error(); err != nil {
		return nil, unavailable(err)
	}
	return docs, nil
}

// count adds a recent document of size bytes, and tells whether the room has
// enough of them now. It is called before the document is in the database.
func (x *Index) count(ctx context.Context, room chat.RoomID, size int) (bool, error) {
	n, known := x.counts[room]
	if !known {
		n = newCounted()
		if len(x.counts) >= maxCounted {
			clear(x.counts)
		}
		it, err := x.s.iterate(ctx, appendName(nil, kindRecent, room))
		if err != nil {
			return false, err
		}
		for ok := it.First(); ok; ok = it.Next() {
			n.documents++
			n.bytes += len(it.Value())
		}
		if err := errors.Join(it.Error(), it.Close()); err != nil {
			return false, unavailable(err)
		}
	}
	n.documents++
	n.bytes += size
	x.counts[room] = n
	return n.reaches(x.enough, n.share), nil
}

// seal makes the room's recent documents rows of postings. It need not be durable:
// if it is lost, the documents are recent again.
//
// What is older than the newest that was sealed before, as it came late, must not
// come between the places of a row, and is kept apart in rows of its own.
func (x *Index) seal(ctx context.Context, room chat.RoomID) error {
	it, err := x.s.iterate(ctx, appendName(nil, kindRecent, room))
	if err != nil {
		return err
	}
	docs, err := recentIn(it, room)
	finish(it, &err)
	if err != nil {
		return err
	}
	newestKey := nameKey(kindNewest, room)
	newest, sealed, err := x.s.get(newestKey)
	if err != nil {
		return err
	}
	if sealed && len(newest) != placeLen {
		return damaged(newestKey)
	}
	late := len(docs) // from here on
	if sealed {
		late = slices.IndexFunc(docs, func(d recentDocument) bool { return d.at.compare(place(newest)) > 0 })
		if late < 0 {
			late = len(docs)
		}
	}
	b := x.s.db.NewBatch()
	setPostings(b, room, docs[:late])
	for i := range docs[late:] {
		setLate(b, room, &docs[late+i])
	}
	var key []byte
	for i := range docs {
		key = recentKey(key[:0], room, docs[i].at)
		_ = b.Delete(key, nil)
	}
	if late > 0 {
		_ = b.Set(newestKey, docs[0].at[:], nil)
	}
	if err := x.s.commit(b, pebble.NoSync); err != nil {
		return err
	}
	x.counts[room] = newCounted()
	return nil
}

// rowsInARow are made before others get their turn.
const rowsInARow = 256

// setPostings sets one row for each term and each sender of the documents, which
// are ordered from new to old.
func setPostings(b *pebble.Batch, room chat.RoomID, docs []recentDocument) {
	for kind, terms := range invert(docs) {
		var key, value []byte
		// In order they are much cheaper to insert: each one is near the one before.
		for i, p := range terms {
			oldest := docs[p.docs[len(p.docs)-1]].at
			key = postingKey(key[:0], kind, room, p.text, oldest)
			value = value[:0]
			if i%rowsInARow == rowsInARow-1 {
				runtime.Gosched()
			}
			at := oldest
			for _, d := range slices.Backward(p.docs[:len(p.docs)-1]) {
				value = appendNewer(value, at, docs[d].at)
				at = docs[d].at
			}
			_ = b.Set(key, value, nil)
		}
	}
}

// inverted is a term and the documents that have it, from new to old.
type inverted struct {
	text string
	docs []int32
}

// invert yields the terms by kind of posting, in order.
func invert(docs []recentDocument) func(yield func(kind byte, terms []inverted) bool) {
	return func(yield func(byte, []inverted) bool) {
		for _, kind := range []byte{kindPosting, kindSender} {
			var all []inverted
			index := make(map[string]int32)
			add := func(i int, text []byte) {
				at, ok := index[string(text)]
				if !ok {
					at = int32(len(all))
					s := string(text)
					index[s] = at
					all = append(all, inverted{text: s})
				}
				all[at].docs = append(all[at].docs, int32(i))
			}
			for i := range docs {
				if kind == kindPosting {
					docs[i].terms(func(term []byte) { add(i, term) })
				} else if sender := docs[i].sender(); len(sender) > 0 {
					add(i, sender)
				}
			}
			slices.SortFunc(all, func(a, b inverted) int { return strings.Compare(a.text, b.text) })
			if !yield(kind, all) {
				return
			}
		}
	}
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
