package mongo

import (
	"bufio"
	"os"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"knatter.dev/chat/internal/chattest"
	"knatter.dev/chat/internal/mongo/mongotest"
)

// TestFromLayout2 opens what the version before wrote, by several processes at once,
// also after a migration that was cut off.
func TestFromLayout2(t *testing.T) {
	url := mongotest.Database(t)
	s := connect(t, url)
	fill(t, s, "testdata/layout2.jsonl")
	for range 2 {
		openAtOnce(t, url)
		chattest.MigratedRooms(t, s.Rooms())
		left, err := s.rooms.members.CountDocuments(t.Context(), bson.D{{Key: "activeAt", Value: bson.D{{Key: "$exists", Value: true}}}})
		if err != nil || left != 0 {
			t.Errorf("%d members of the old layout are left: %v", left, err)
		}
		if _, err := s.db.Collection("schema").UpdateOne(t.Context(), bson.D{}, set(bson.E{Key: "version", Value: layout2})); err != nil {
			t.Fatal(err)
		}
	}
}

// fill inserts the documents of a file, each behind its collection's name.
func fill(t *testing.T, s *Store, file string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for docs := bufio.NewScanner(f); docs.Scan(); {
		collection, text, _ := strings.Cut(docs.Text(), " ")
		var doc bson.D
		if err := bson.UnmarshalExtJSON([]byte(text), false, &doc); err != nil {
			t.Fatal(err)
		}
		c := s.db.Collection(collection)
		if collection == "schema" {
			_, err = c.ReplaceOne(t.Context(), bson.D{}, doc)
		} else {
			_, err = c.InsertOne(t.Context(), doc)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// openAtOnce opens and closes a database by several processes at once.
func openAtOnce(t *testing.T, url string) {
	t.Helper()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			s, err := Open(t.Context(), url)
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
