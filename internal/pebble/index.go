package pebble

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// Index is the search index. Documents are kept as they are at first, and turned
// into postings when there are some of a room (see seal): rows by room, term and
// place. The sender is a posting too, so that a search for what one person said
// is one more word to intersect.
//
// When an earlier sequence of an indexed message turns up, the later one is marked
// as removed, which hides its postings. So are those of messages that were edited or
// deleted (changes.go).
type Index struct {
	s        *Store
	mu       sync.Mutex // first places are read, then written
	marks    marks
	analysis atomic.Int64 // the lowest of the documents, or noAnalysis
	enough   recents      // to be sealed
	held     int          // bytes of all recent documents
	most     int          // of held, above which rooms are sealed with fewer documents
	awaited  map[message]bool

	view   sync.RWMutex // of what follows, which only the holder of mu changes
	recent map[chat.RoomID]*recentRoom
	edited map[chat.RoomID]bool // rooms that have messages with postings of edits, or had
}

func newIndex(s *Store) *Index {
	return &Index{
		s: s, marks: marks{store: chat.StoreIndex}, enough: enough, most: mostRecent,
		awaited: make(map[message]bool), recent: make(map[chat.RoomID]*recentRoom), edited: make(map[chat.RoomID]bool),
	}
}

var _ chat.SearchIndex = (*Index)(nil)

// Put implements [chat.SearchIndex]. Errors: Invalid for a document that cannot
// be indexed (none is then), Unavailable.
func (x *Index) Put(ctx context.Context, docs []chat.Document) (err error) {
	var c claims
	var moved moves
	for i := range docs {
		d := &docs[i]
		moved.add(d.Origin, d.Sequence)
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
	full, err := x.put(ctx, docs, earliest, moved)
	if err != nil {
		return err
	}
	for _, room := range full {
		if err := x.seal(room); err != nil {
			return err
		}
	}
	for _, room := range x.largest() {
		if err := x.seal(room); err != nil {
			return err
		}
	}
	return nil
}

// put stores the documents that are not there yet, as recent ones, and returns the
// rooms that have enough of those now.
func (x *Index) put(ctx context.Context, docs []chat.Document, earliest []claim, moved moves) (full []chat.RoomID, err error) {
	it, err := x.s.points(ctx)
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	b := x.s.db.NewBatch()
	var key []byte
	var come, gone []placed
	var changes []changed
	for _, cl := range earliest {
		d := &docs[cl.item]
		first, ok, err := claimedBy(it, cl.key)
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
		switch {
		case !ok:
		case first.sequence() <= d.Sequence:
			continue
		case first.isChange:
			changes = append(changes, changed{room: d.Room, id: first.change, goes: true})
		default:
			key = recentKey(key[:0], d.Room, first.at)
			_ = b.Delete(key, nil)
			key = eventKey(key[:0], kindRemoved, d.Room, first.sequence())
			_ = b.Set(key, nil, nil)
			gone = append(gone, placed{room: d.Room, doc: recentDocument{at: first.at}})
		}
		if d.About != 0 {
			c := newChange(d)
			_ = b.Set(cl.key, c.id[:], nil)
			changes = append(changes, c)
			continue
		}
		n := placed{room: d.Room, doc: newRecent(d)}
		_ = b.Set(cl.key, n.doc.at[:], nil)
		key = recentKey(key[:0], d.Room, n.doc.at)
		_ = b.Set(key, n.doc.value, nil)
		come = append(come, n)
	}
	settling, err := x.settle(b, come, gone, changes)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	x.marks.put(b, moved)
	lowest := x.lowest(docs)
	if lowest != int(x.analysis.Load()) {
		setAnalysis(b, lowest)
	}
	settling.announce()
	if len(gone) > 0 { // or a search could miss both the one that goes and the one that comes
		x.view.Lock()
		defer x.view.Unlock()
	}
	if err := x.s.commit(b, pebble.Sync); err != nil {
		return nil, err
	}
	x.marks.keep(moved)
	settling.keep()
	x.analysis.Store(int64(lowest))
	if len(gone) == 0 {
		x.view.Lock()
		defer x.view.Unlock()
	}
	for _, g := range gone {
		x.drop(g.room, g.doc.at)
	}
	return x.keep(come), nil
}

func indexable(d *chat.Document) error {
	switch {
	case !d.Room.Valid():
		return chat.Errorf(chat.Invalid, "a document needs a room")
	case d.Sequence <= 0:
		return chat.Errorf(chat.Invalid, "a document needs a sequence")
	case d.About < 0 || d.About >= d.Sequence || d.Deleted && d.About == 0:
		return chat.Errorf(chat.Invalid, "an edit or a deletion needs a message before it")
	case strings.IndexByte(d.Source, 0) >= 0 || strings.IndexByte(d.ID, 0) >= 0:
		return chat.Errorf(chat.Invalid, "source and id must not contain NUL")
	}
	for _, term := range d.Terms {
		if !validTerm(term) {
			return chat.Errorf(chat.Invalid, "a term must not be empty, contain NUL, nor begin with U+0001")
		}
	}
	return nil
}

func validTerm(term string) bool {
	return term != "" && strings.IndexByte(term, 0) < 0 && !strings.HasPrefix(term, editedMark)
}

func lasting(term string) bool { return strings.HasPrefix(term, chat.Lasting) }

// claimed is what the row of an identity says: where the message is, or which change.
type claimed struct {
	at       place
	change   changeID
	isChange bool
}

func (c *claimed) sequence() chat.Sequence {
	if c.isChange {
		return c.change.sequence()
	}
	return c.at.sequence()
}

func claimedBy(it *pebble.Iterator, identity []byte) (claimed, bool, error) {
	v, ok, err := find(it, identity)
	if err != nil || !ok {
		return claimed{}, false, err
	}
	switch len(v) {
	case placeLen:
		return claimed{at: place(v)}, true, nil
	case changeLen:
		return claimed{change: changeID(v), isChange: true}, true, nil
	}
	return claimed{}, false, damaged(identity)
}

// removed reports whether the postings of a message do not count: it gave way to an
// earlier one, or was edited or deleted.
func removed(r pebble.Reader, room chat.RoomID, s chat.Sequence) (bool, error) {
	_, closer, err := r.Get(eventKey(nil, kindRemoved, room, s))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, unavailable(err)
	}
	return true, closer.Close()
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
	for _, kind := range []byte{kindRecent, kindNewest, kindPosting, kindSender, kindLatePosting, kindLateSender, kindDocument, kindRemoved, kindAnalysis, kindChange, kindAwaited, kindEditedPosting, kindEditedSender} {
		_ = b.DeleteRange([]byte{kind}, []byte{kind + 1}, nil)
	}
	prefix := appendName(nil, kindProgress, x.marks.store)
	_ = b.DeleteRange(prefix, after(prefix), nil)
	x.view.Lock()
	defer x.view.Unlock()
	if err := x.s.commit(b, pebble.Sync); err != nil {
		return err
	}
	x.marks.at = nil
	clear(x.recent)
	clear(x.edited)
	clear(x.awaited)
	x.held = 0
	x.analysis.Store(noAnalysis)
	return nil
}
