package mongo

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"knatter.dev/chat/internal/chattest"
	"knatter.dev/chat/internal/mongo/mongotest"
)

// TestFromLayout3 opens what the version before wrote, by several processes at once,
// also once more.
func TestFromLayout3(t *testing.T) {
	url := mongotest.Database(t)
	s := connect(t, url)
	for address, a := range chattest.AccountsToMigrate() {
		doc := accountDoc{ID: a.ID, Address: address, Email: a.Email, Nickname: a.Nickname, PasswordHash: a.PasswordHash, Created: a.Created}
		if _, err := s.accounts.all.InsertOne(t.Context(), doc); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := s.db.Collection("schema").UpdateOne(t.Context(), bson.D{}, set(bson.E{Key: "version", Value: layout3})); err != nil {
			t.Fatal(err)
		}
		openAtOnce(t, url)
		chattest.MigratedAccounts(t, s.Accounts())
	}
}
