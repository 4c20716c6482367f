package pebble

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// Index is the search index. Documents are kept as they are at first, and turned
// into postings when there are some of a room (see seal): rows by room, term and
// place. The sender is a posting too, so that a search for what one person said
// is one more word to intersect.
//
// When an earlier sequence of an indexed message turns up, the later one is marked
// as removed, which hides its postings.
type Index struct {
	s      *Store
	mu     sync.Mutex // first places are read, then written
	counts map[chat.RoomID]counted
	enough recents // to be sealed
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
	full, err := x.put(ctx, docs, earliest)
	if err != nil {
		return err
	}
	for _, room := range full {
		if err := x.seal(ctx, room); err != nil {
			return err
		}
	}
	return nil
}

// put stores the documents that are not there yet, as recent ones, and returns the
// rooms that have enough of those now.
func (x *Index) put(ctx context.Context, docs []chat.Document, earliest []claim) (full []chat.RoomID, err error) {
	it, err := x.s.points(ctx)
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	b := x.s.db.NewBatch()
	var key, value []byte
	for _, cl := range earliest {
		d := &docs[cl.item]
		first, ok, err := firstPlace(it, cl.key)
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
		if ok && first.sequence() <= d.Sequence {
			continue
		}
		if ok {
			key = recentKey(key[:0], d.Room, first)
			_ = b.Delete(key, nil)
			key = eventKey(key[:0], kindRemoved, d.Room, first.sequence())
			_ = b.Set(key, nil, nil)
		}
		at := placeOf(d.Time, d.Sequence)
		_ = b.Set(cl.key, at[:], nil)
		key, value = recentKey(key[:0], d.Room, at), appendRecent(value[:0], d)
		_ = b.Set(key, value, nil)
		enough, err := x.count(ctx, d.Room, len(value))
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
		if enough && !slices.Contains(full, d.Room) {
			full = append(full, d.Room)
		}
	}
	if err := x.s.commit(b, pebble.Sync); err != nil {
		clear(x.counts) // they count what is not there
		return nil, err
	}
	return full, nil
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
	for _, kind := range []byte{kindRecent, kindNewest, kindPosting, kindSender, kindLatePosting, kindLateSender, kindDocument, kindRemoved} {
		_ = b.DeleteRange([]byte{kind}, []byte{kind + 1}, nil)
	}
	clear(x.counts)
	return x.s.commit(b, pebble.Sync)
}
