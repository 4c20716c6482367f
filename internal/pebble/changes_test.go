package pebble

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"knatter.dev/chat"
)

// What was edited, and what is awaited, is known again when the store is opened again.
func TestChangesAreKept(t *testing.T) {
	fs := vfs.NewMem()
	reopened := func(f func(x *Index)) {
		t.Helper()
		s, err := open("db", withFS(fs))
		must(t, err)
		s.Index().enough.documents = 2
		f(s.Index())
		must(t, s.Close())
	}
	put := func(docs ...chat.Document) func(*Index) {
		return func(x *Index) { must(t, x.Put(t.Context(), docs)) }
	}
	reopened(put(said(1, "old"), said(2, "other"), edited(4, 1, "new"), edited(5, 3, "newer")))
	reopened(func(x *Index) {
		wantFound(t, x, "old")
		wantFound(t, x, "new", 1)
		if len(x.awaited) != 1 {
			t.Errorf("awaited: %v", x.awaited)
		}
	})
	reopened(put(said(3, "old")))
	reopened(func(x *Index) {
		wantFound(t, x, "old")
		wantFound(t, x, "newer", 3)
		if len(x.awaited) != 0 {
			t.Errorf("awaited: %v", x.awaited)
		}
		must(t, x.Wipe(t.Context()))
		if len(x.edited) != 0 {
			t.Errorf("edited in %v", x.edited)
		}
		it, err := x.s.iterate(t.Context(), nil)
		must(t, err)
		for ok := it.First(); ok; ok = it.Next() {
			if it.Key()[0] != kindSchema {
				t.Errorf("a wiped index leaves %q", it.Key())
			}
		}
		must(t, it.Close())
	})
}

// A message is edited that was made a posting by the version which knew nothing of edits.
func TestFromSchema5(t *testing.T) {
	for _, noted := range []bool{false, true} {
		fs := vfs.NewMem()
		s, err := open("db", withFS(fs))
		must(t, err)
		s.Index().enough.documents = 2
		docs := []chat.Document{said(1, "old"), said(2, "other"), said(3, "third"), said(4, "fourth")}
		for i := range docs {
			if noted {
				docs[i].Origin = &chat.Origin{Partition: 2}
			}
			must(t, s.Index().Put(t.Context(), docs[i:i+1]))
		}
		value, ok, err := s.get(nameKey(kindNewest, room))
		if err != nil || !ok {
			t.Fatalf("nothing was sealed: %v", err)
		}
		must(t, s.db.Set(nameKey(kindNewest, room), value[:placeLen], nil))
		must(t, s.db.Set([]byte{kindSchema}, []byte(schema5), pebble.Sync))
		must(t, s.Close())

		s, err = open("db", withFS(fs))
		must(t, err)
		must(t, s.Index().Put(t.Context(), []chat.Document{edited(5, 1, "new")}))
		wantFound(t, s.Index(), "old")
		wantFound(t, s.Index(), "new", 1)
		wantFound(t, s.Index(), "other", 2)
		must(t, s.Close())
	}
}

const room chat.RoomID = "room"

func said(seq chat.Sequence, terms ...string) chat.Document {
	return chat.Document{Room: room, Sequence: seq, Source: "/users/u", ID: fmt.Sprint(seq), Time: time.UnixMilli(int64(seq)), Terms: terms}
}

func edited(seq, of chat.Sequence, terms ...string) chat.Document {
	d := said(seq, terms...)
	d.About = of
	return d
}

func wantFound(t *testing.T, x *Index, term string, want ...chat.Sequence) {
	t.Helper()
	hits, _, err := x.Search(t.Context(), chat.Query{Rooms: []chat.RoomID{room}, Words: []chat.Word{{Any: [][]string{{term}}}}, Limit: 10})
	must(t, err)
	var got []chat.Sequence
	for _, hit := range hits {
		got = append(got, hit.Sequence)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q is in %v, want %v", term, got, want)
	}
}
