package pebble

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// Dump implements [chat.SearchIndex]: by room and term, newest first. Errors:
// f's, Unavailable.
func (x *Index) Dump(ctx context.Context, f func(room chat.RoomID, term string, hit chat.Hit) error) (err error) {
	if err := x.s.enter(ctx); err != nil {
		return err
	}
	defer x.s.leave()
	view := x.s.db.NewSnapshot()
	defer func() { _ = view.Close() }()
	var parts []*dumped
	for _, kind := range []byte{kindPosting, kindLatePosting, kindRecent, kindEditedPosting} {
		it, err := view.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
		if err != nil {
			return unavailable(err)
		}
		defer finish(it, &err)
		d := &dumped{it: it, recent: kind == kindRecent, edits: kind == kindEditedPosting}
		it.First()
		if err := d.next(); err != nil {
			return err
		}
		parts = append(parts, d)
	}
	for {
		var first *dumped
		for _, d := range parts {
			if d.room != "" && (first == nil || d.compare(first) < 0) {
				first = d
			}
		}
		if first == nil {
			return ctx.Err()
		}
		room, term := first.room, first.term
		var places []place
		for _, d := range parts {
			if d.room != room || d.term != term {
				continue
			}
			for _, p := range d.places {
				counts, err := d.counts(view, p)
				if err != nil {
					return err
				}
				if counts {
					places = append(places, p)
				}
			}
			if err := d.next(); err != nil {
				return err
			}
		}
		slices.SortFunc(places, place.compare)
		for _, p := range places {
			if err := f(room, term, p.hit(room)); err != nil {
				return err
			}
		}
	}
}

// counts reports whether a posting is one by which the message is found.
func (d *dumped) counts(view pebble.Reader, p place) (bool, error) {
	if d.edits {
		return d.term != editedMark, nil
	}
	gone, err := removed(view, d.room, p.sequence())
	if err != nil || !gone || !lasting(d.term) {
		return !gone, err
	}
	_, edited, err := get(view, postingKey(nil, kindEditedPosting, d.room, editedMark, p))
	return edited, err
}

// dumped is one of the places where postings are, read by room and term.
type dumped struct {
	it     *pebble.Iterator // at the first row that is not read yet
	recent bool
	edits  bool
	docs   []recentDocument // of room, while their terms are read
	terms  []inverted

	room   chat.RoomID // "" at the end
	term   string
	places []place
}

func (d *dumped) compare(o *dumped) int {
	return cmp.Or(strings.Compare(string(d.room), string(o.room)), strings.Compare(d.term, o.term))
}

// next reads the postings of the next room and term.
func (d *dumped) next() error {
	d.places = nil
	if d.recent {
		return d.nextRecent()
	}
	d.room = ""
	for d.it.Valid() {
		key := d.it.Key()
		prefix := split(key)
		room, term, ok := strings.Cut(string(key[1:max(prefix-1, 1)]), "\x00")
		if !ok || len(key) != prefix+placeLen {
			return damaged(key)
		}
		if d.room == "" {
			d.room, d.term = chat.RoomID(room), term
		} else if d.room != chat.RoomID(room) || d.term != term {
			return nil
		}
		if d.places, ok = appendPlaces(d.places, place(key[prefix:]), d.it.Value()); !ok {
			return damaged(key)
		}
		d.it.Next()
	}
	return d.it.Error()
}

func (d *dumped) nextRecent() error {
	for len(d.terms) == 0 {
		d.room = ""
		if !d.it.Valid() {
			return d.it.Error()
		}
		key := d.it.Key()
		room := chat.RoomID(key[1:max(split(key)-1, 1)])
		var err error
		if d.docs, err = recentIn(d.it, room); err != nil {
			return err
		}
		d.room = room
		d.terms = new(inversion).terms(d.docs)
	}
	d.term = d.terms[0].text
	for _, i := range d.terms[0].docs {
		d.places = append(d.places, d.docs[i].at)
	}
	d.terms = d.terms[1:]
	return nil
}
