package pebble

import (
	"encoding/binary"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// A row of postings is keyed by the oldest of its places; its value has the
// newer ones, each as what it adds to the one before: uvarint milliseconds,
// varint sequence. Rows of one term do not overlap, so the row that a seek from a
// place finds is the one that has the next older match, or none has.

// appendNewer appends the places to a row's value, which are ordered from old to
// new and all newer than the row's key.
func appendNewer(value []byte, oldest moment, newer ...moment) []byte {
	for _, m := range newer {
		value = binary.AppendUvarint(value, uint64(m.milli-oldest.milli))
		value = binary.AppendVarint(value, int64(m.sequence-oldest.sequence))
		oldest = m
	}
	return value
}

// appendPlaces appends the places of a row, from new to old.
func appendPlaces(dst []place, oldest place, value []byte) ([]place, bool) {
	start := len(dst)
	dst = append(dst, oldest)
	at := oldest.moment()
	for len(value) > 0 {
		dm, n := binary.Uvarint(value)
		if n <= 0 {
			return dst, false
		}
		ds, m := binary.Varint(value[n:])
		if m <= 0 {
			return dst, false
		}
		value = value[n+m:]
		at = moment{milli: at.milli + int64(dm), sequence: at.sequence + chat.Sequence(ds)}
		dst = append(dst, placeAt(at.milli, at.sequence))
	}
	slices.Reverse(dst[start:])
	return dst, true
}

// rows walks through the postings of one term in one room, from new to old.
type rows struct {
	it     *pebble.Iterator
	kind   byte
	key    []byte
	prefix int     // of key: up to the place
	block  []place // of the row that the iterator is at
	next   int     // in block
	ended  bool
}

// begin starts with a room's term.
func (r *rows) begin(room chat.RoomID, text string) {
	r.key = postingPrefix(r.key[:0], r.kind, room, text)
	r.prefix = len(r.key)
	r.block, r.next, r.ended = r.block[:0], 0, false
}

// seek returns the first place at or behind from, which never goes back. The
// error is the iterator's, or that of a damaged row.
func (r *rows) seek(from place) (place, bool, error) {
	if r.ended {
		return place{}, false, nil
	}
	if n := len(r.block); n == 0 || r.block[n-1].compare(from) < 0 {
		var found bool
		if n > 0 && from == r.block[n-1].next() {
			found = r.it.Next()
		} else {
			r.key = append(r.key[:r.prefix], from[:]...)
			found = r.it.SeekPrefixGE(r.key)
		}
		if !found {
			r.ended = true
			return place{}, false, r.it.Error()
		}
		value, err := r.it.ValueAndErr()
		if err != nil {
			return place{}, false, err
		}
		var ok bool
		if len(r.it.Key()) != r.prefix+placeLen {
			return place{}, false, damaged(r.it.Key())
		}
		if r.block, ok = appendPlaces(r.block[:0], place(r.it.Key()[r.prefix:]), value); !ok {
			return place{}, false, damaged(r.it.Key())
		}
		r.next = 0
	}
	if r.next < len(r.block) && r.block[r.next].compare(from) < 0 {
		n, _ := slices.BinarySearchFunc(r.block[r.next:], from, place.compare)
		r.next += n
	}
	return r.block[r.next], true, nil
}
