package mongo

import (
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
	fill(t, s, "testdata/layout4.jsonl")
	for range 2 {
		openAtOnce(t, url)
		chattest.MigratedEvents(t, s.Events())
		if _, err := s.db.Collection("schema").UpdateOne(t.Context(), bson.D{}, set(bson.E{Key: "version", Value: layout5})); err != nil {
			t.Fatal(err)
		}
	}
	chattest.MigratedLives(t, s.Events())
}
