package pebble

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"knatter.dev/chat"
)

// TestFromSchema2 opens a store of layout 2, after a migration that was begun and
// cut off too.
func TestFromSchema2(t *testing.T) {
	const n = migrationBatch + 500
	for name, left := range map[string]int{"whole": n, "begun before": n / 3} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			s, err := open("db", withFS(fs))
			must(t, err)
			events := make([]chat.Event, n)
			docs := make([]chat.Document, n)
			for i := range events {
				events[i] = event(t, chat.RoomID(fmt.Sprint("room-", i%7)), fmt.Sprint("id-", i), chat.Sequence(1+i))
				docs[i] = chat.Document{Room: events[i].Stream.Room(), Sequence: events[i].Sequence, Source: events[i].Source, ID: events[i].ID, Time: time.UnixMilli(1), Terms: []string{"tword"}}
			}
			must(t, s.Events().Put(t.Context(), events))
			must(t, s.Index().Put(t.Context(), docs))
			b := s.db.NewBatch()
			for i := range events {
				e := &events[i]
				for _, kinds := range [][2]byte{{kindFirst, schema2First}, {kindDocument, schema2Document}} {
					key := identityKey(nil, kinds[0], e.Stream.Room(), e.Source, e.ID)
					v, ok, err := s.get(key)
					if err != nil || !ok {
						t.Fatalf("no row %q: %v", key, err)
					}
					must(t, b.Set(fmt.Appendf(nil, "%c%s\x00%s\x00%s", kinds[1], e.Stream, e.Source, e.ID), v, nil))
					if i < left {
						must(t, b.Delete(key, nil))
					}
				}
			}
			must(t, b.Set([]byte{kindSchema}, []byte(schema2), nil))
			must(t, b.Commit(pebble.Sync))
			must(t, s.Close())

			for range 2 { // the second time there is nothing to do
				s, err = open("db", withFS(fs))
				must(t, err)
				for i := range events {
					e := &events[i]
					if first, err := s.Events().Firsts(t.Context(), []chat.Event{*e}); err != nil || first[0] != e.Sequence {
						t.Fatalf("event %s is at %d, want %d: %v", e.ID, first, e.Sequence, err)
					}
					docs[i].Sequence += n // once more, later
				}
				must(t, s.Index().Put(t.Context(), docs))
				hits, _, err := s.Index().Search(t.Context(), chat.Query{
					Rooms: []chat.RoomID{"room-0"}, Words: []chat.Word{{Any: [][]string{{"tword"}}}}, Limit: 2 * n,
				})
				if err != nil || len(hits) != (n+6)/7 {
					t.Errorf("%d hits in a room of %d messages: %v", len(hits), (n+6)/7, err)
				}
				for _, kind := range []byte{schema2First, schema2Document} {
					it, err := s.iterate(t.Context(), []byte{kind})
					must(t, err)
					if it.First() {
						t.Errorf("%q is left", it.Key())
					}
					must(t, it.Close())
				}
				must(t, s.Close())
			}
		})
	}
}

// TestFromFirstAnalysis opens a store whose index does not say which analysis made
// it: it is stale, also after documents have come, until it is refreshed.
func TestFromFirstAnalysis(t *testing.T) {
	fs := vfs.NewMem()
	s, err := open("db", withFS(fs))
	must(t, err)
	e := event(t, "room", "id", 1)
	doc := chat.Document{Room: "room", Sequence: 1, Source: e.Source, ID: e.ID, Time: time.UnixMilli(1), Terms: []string{"told"}}
	must(t, s.Events().Put(t.Context(), []chat.Event{e}))
	must(t, s.Index().Put(t.Context(), []chat.Document{doc}))
	must(t, s.db.Delete([]byte{kindAnalysis}, pebble.Sync))
	must(t, s.Close())

	isStale := func(want bool) {
		t.Helper()
		if got, err := s.Index().Stale(t.Context(), 2); err != nil || got != want {
			t.Fatalf("stale: %t, %v", got, err)
		}
	}
	s, err = open("db", withFS(fs))
	must(t, err)
	isStale(true)
	later := doc
	later.ID, later.Sequence, later.Analysis = "later", 2, 2
	must(t, s.Index().Put(t.Context(), []chat.Document{later}))
	isStale(true)
	refreshed, err := s.Index().Refresh(t.Context(), 2, s.Events(), func(*chat.Event) (chat.Document, error) {
		fresh := doc
		fresh.Terms, fresh.Analysis = []string{"tnew"}, 2
		return fresh, nil
	})
	if must(t, err); !refreshed {
		t.Error("nothing was refreshed")
	}
	isStale(false)
	must(t, s.Close())
	s, err = open("db", withFS(fs))
	must(t, err)
	isStale(false)
	must(t, s.Close())
}
