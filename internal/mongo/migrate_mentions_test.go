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

// TestFromLayout5 opens what a version wrote that knew nothing of the lives of messages,
// by several processes at once, also once more.
func TestFromLayout5(t *testing.T) {
	url := mongotest.Database(t)
	s := connect(t, url)
	f, err := os.Open("testdata/layout4.jsonl")
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
	for range 2 {
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
		chattest.MigratedEvents(t, s.Events())
		if _, err := s.db.Collection("schema").UpdateOne(t.Context(), bson.D{}, set(bson.E{Key: "version", Value: layout5})); err != nil {
			t.Fatal(err)
		}
	}
	chattest.MigratedLives(t, s.Events())
}
