package pebble

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// Index is the search index. A posting is a key and nothing else: room, term and
// place. The sender is a posting too, so that a search for what one person said
// is one more word to intersect.
//
// A document's terms are not kept. When an earlier sequence of an indexed message
// turns up, the later one's postings are deleted as far as the two have the same
// terms, as a resent message does, and the later one is marked as removed, which
// hides whatever is left of it.
type Index struct {
	s  *Store
	mu sync.Mutex // first places are read, then written
}

var _ chat.SearchIndex = (*Index)(nil)

// Put implements [chat.SearchIndex]. Errors: Invalid for a document that cannot
// be indexed (none is then), Unavailable.
func (x *Index) Put(ctx context.Context, docs []chat.Document) (err error) {
	var c claims
	for i := range docs {
		d := &docs[i]
		if strings.HasPrefix(string(d.Room), "@") {
			continue
		}
		if err := indexable(d); err != nil {
			return err
		}
		c.add(i, kindDocument, d.Room, d.Source, d.ID, d.Sequence)
	}
	earliest := c.earliest()

	if err := x.s.enter(ctx); err != nil {
		return err
	}
	defer x.s.leave()
	x.mu.Lock()
	defer x.mu.Unlock()
	it, err := x.s.points(ctx)
	if err != nil {
		return err
	}
	defer finish(it, &err)
	b := x.s.db.NewBatch()
	var postings [][]byte
	for _, cl := range earliest {
		d := &docs[cl.item]
		first, ok, err := firstPlace(it, cl.key)
		if err != nil {
			return errors.Join(err, b.Close())
		}
		if ok && first.sequence() <= d.Sequence {
			continue
		}
		if ok {
			for _, key := range appendPostings(nil, &c.arena, d, first) {
				_ = b.Delete(key, nil)
			}
			_ = b.Set(eventKey(nil, kindRemoved, d.Room, first.sequence()), nil, nil)
		}
		at := placeOf(d.Time, d.Sequence)
		_ = b.Set(cl.key, at[:], nil)
		postings = appendPostings(postings, &c.arena, d, at)
	}
	// In order they are much cheaper to insert: each one is near the one before.
	slices.SortFunc(postings, bytes.Compare)
	for _, key := range postings {
		_ = b.Set(key, nil, nil)
	}
	return x.s.commit(b, pebble.Sync)
}

func indexable(d *chat.Document) error {
	switch {
	case !d.Room.Valid():
		return chat.Errorf(chat.Invalid, "a document needs a room")
	case d.Sequence <= 0:
		return chat.Errorf(chat.Invalid, "a document needs a sequence")
	case strings.IndexByte(d.Source, 0) >= 0 || strings.IndexByte(d.ID, 0) >= 0:
		return chat.Errorf(chat.Invalid, "source and id must not contain NUL")
	}
	for _, term := range d.Terms {
		if !validTerm(term) {
			return chat.Errorf(chat.Invalid, "a term must not be empty nor contain NUL")
		}
	}
	return nil
}

func validTerm(term string) bool { return term != "" && strings.IndexByte(term, 0) < 0 }

// appendPostings appends the keys of the document's postings at a place.
func appendPostings(keys [][]byte, a *arena, d *chat.Document, at place) [][]byte {
	posting := func(kind byte, term string) []byte {
		return a.add(func(dst []byte) []byte { return postingKey(dst, kind, d.Room, term, at) })
	}
	for _, term := range d.Terms {
		keys = append(keys, posting(kindPosting, term))
	}
	event := chat.Event{Source: d.Source}
	if sender := event.User(); sender.Valid() {
		keys = append(keys, posting(kindSender, string(sender)))
	}
	return keys
}

func firstPlace(it *pebble.Iterator, identity []byte) (place, bool, error) {
	v, ok, err := find(it, identity)
	if err != nil || !ok {
		return place{}, false, err
	}
	if len(v) != placeLen {
		return place{}, false, damaged(identity)
	}
	return place(v), true, nil
}

// removed tells whether a message gave way to an earlier one.
func (x *Index) removed(room chat.RoomID, s chat.Sequence) (bool, error) {
	_, ok, err := x.s.get(eventKey(nil, kindRemoved, room, s))
	return ok, err
}

// Wipe implements [chat.SearchIndex]. Errors: Unavailable.
func (x *Index) Wipe(ctx context.Context) error {
	if err := x.s.enter(ctx); err != nil {
		return err
	}
	defer x.s.leave()
	x.mu.Lock()
	defer x.mu.Unlock()
	b := x.s.db.NewBatch()
	for _, kind := range []byte{kindPosting, kindSender, kindDocument, kindRemoved} {
		_ = b.DeleteRange([]byte{kind}, []byte{kind + 1}, nil)
	}
	return x.s.commit(b, pebble.Sync)
}

// Dump implements [chat.SearchIndex]: by room and term, newest first. Errors:
// f's, Unavailable.
func (x *Index) Dump(ctx context.Context, f func(room chat.RoomID, term string, hit chat.Hit) error) (err error) {
	if err := x.s.enter(ctx); err != nil {
		return err
	}
	defer x.s.leave()
	it, err := x.s.iterate(ctx, []byte{kindPosting})
	if err != nil {
		return err
	}
	defer finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		key := it.Key()
		prefix := split(key)
		room, term, ok := strings.Cut(string(key[1:max(prefix-1, 1)]), "\x00")
		if !ok || len(key) != prefix+placeLen {
			return damaged(key)
		}
		hit := place(key[prefix:]).hit(chat.RoomID(room))
		gone, err := x.removed(hit.Room, hit.Sequence)
		if err != nil {
			return err
		}
		if gone {
			continue
		}
		if err := f(hit.Room, term, hit); err != nil {
			return err
		}
	}
	return ctx.Err()
}
