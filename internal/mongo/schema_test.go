package mongo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/mongo/mongotest"
)

// indexNames are those of all collections, and how often they are there.
func indexNames(t *testing.T, s *Store) map[string]int {
	t.Helper()
	names := make(map[string]int)
	collections, err := s.db.ListCollectionNames(t.Context(), bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range collections {
		specs, err := s.db.Collection(c).Indexes().ListSpecifications(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range specs {
			names[c+" "+spec.Name]++
		}
	}
	return names
}

// Processes that start at the same time make the collections and indexes together,
// each once.
func TestOpenedAtOnce(t *testing.T) {
	url := mongotest.Database(t)
	stores := make([]*Store, 8)
	var wg sync.WaitGroup
	for i := range stores {
		wg.Go(func() {
			s, err := Open(t.Context(), url)
			if err != nil {
				t.Error(err)
				return
			}
			stores[i] = s
			if err := s.Accounts().Create(t.Context(), chat.Account{ID: chat.UserID(fmt.Sprint("user-", i)), Email: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	names := indexNames(t, stores[0])
	for _, i := range indexes {
		var name strings.Builder
		name.WriteString(i.collection + " ")
		for n, field := range i.key {
			if n > 0 {
				name.WriteString("_")
			}
			fmt.Fprintf(&name, "%s_%v", field.Key, field.Value)
		}
		if names[name.String()] != 1 {
			t.Errorf("index %s is there %d times", &name, names[name.String()])
		}
	}
	for _, s := range stores {
		if err := s.Accounts().Create(t.Context(), chat.Account{ID: "other", Email: " 0 "}); chat.KindOf(err) != chat.Conflict {
			t.Errorf("an address is taken twice: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOtherLayout(t *testing.T) {
	url := mongotest.Database(t)
	s := connect(t, url)
	for _, version := range []any{layout + "0", "0", ""} {
		if _, err := s.db.Collection("schema").UpdateOne(t.Context(), bson.D{}, set(bson.E{Key: "version", Value: version})); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), url)
		if chat.KindOf(err) != chat.Unavailable || !strings.Contains(err.Error(), fmt.Sprintf("%q", version)) || !strings.Contains(err.Error(), fmt.Sprintf("%q", layout)) {
			t.Errorf("layout %q: %v", version, err)
		}
	}
}

func TestParse(t *testing.T) {
	for url, want := range map[string]string{
		"mongodb://localhost/chat":                                       "chat",
		"mongodb://user:p%40ss@a:27017,b:27018/chat?replicaSet=rs&w=1":   "chat",
		"mongodb://localhost/ch%61t?serverSelectionTimeoutMS=100":        "chat",
		"mongodb://user@localhost/chat?authMechanism=MONGODB-X509&tls=1": "chat",
		"mongodb://%2Ftmp%2Fmongodb.sock/chat":                           "chat",
	} {
		opts, database, err := parse(strings.Replace(url, "tls=1", "tls=true", 1))
		if err != nil || database != want || opts.ServerSelectionTimeout == nil || opts.ConnectTimeout == nil {
			t.Errorf("%s: got %q, %v", url, database, err)
		}
	}
	const secret = "s3cret"
	for _, url := range []string{
		"", "mongodb", "mongodb:localhost/chat", "mongo://alice:" + secret + "@localhost/chat",
		"mongodb://alice:" + secret + "@localhost", "mongodb://alice:" + secret + "@localhost/", "mongodb://alice:" + secret + "@localhost?w=1",
		"mongodb://localhost/a.b", "mongodb://localhost/a%00b", "mongodb://localhost/a b", "mongodb://localhost/%zz",
		"mongodb://localhost/" + strings.Repeat("a", 64),
		"mongodb:///chat", "mongodb://alice:" + secret + "@/chat", "mongodb://alice:" + secret + "@host:port/chat",
		"mongodb://alice:" + secret + "%zz@localhost/chat", "mongodb://alice:" + secret + "/x@localhost/chat",
		"mongodb://alice:" + secret + ":" + secret + "@localhost/chat", "mongodb://a@b:" + secret + "@localhost/chat",
		"mongodb://alice:" + secret + "@localhost/chat?authMechanism=none",
		"mongodb://localhost/chat?serverSelectionTimeoutMS=soon",
	} {
		_, _, err := parse(url)
		if chat.KindOf(err) != chat.Invalid {
			t.Errorf("%q: got %v, want Invalid", url, err)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%q: the password is told: %v", url, err)
		}
	}
	_, _, err := parse("mongodb+srv://alice:" + secret + "@nowhere.invalid/chat")
	if chat.KindOf(err) != chat.Unavailable || strings.Contains(err.Error(), secret) {
		t.Errorf("a name that is not known: %v", err)
	}
}

func TestKinds(t *testing.T) {
	taken := mongo.WriteError{Code: codeDuplicateKey, Message: "dup key: { address: \"alice@example.com\" }"}
	for _, c := range []struct {
		err  error
		want chat.Kind
	}{
		{context.Canceled, chat.Unavailable},
		{fmt.Errorf("reading: %w", context.DeadlineExceeded), chat.Unavailable},
		{mongo.ErrClientDisconnected, chat.Unavailable},
		{errors.New("server selection"), chat.Unavailable},
		{mongo.CommandError{Code: 10107, Name: "NotWritablePrimary"}, chat.Unavailable},
		{mongo.CommandError{Code: codeAuthentication, Name: "AuthenticationFailed"}, chat.Unavailable},
		{mongo.CommandError{Labels: []string{"NetworkError"}}, chat.Unavailable},
		{mongo.BulkWriteException{WriteConcernError: &mongo.WriteConcernError{Code: 64}}, chat.Unavailable},
		{mongo.WriteException{WriteConcernError: &mongo.WriteConcernError{Code: 64}}, chat.Unavailable},
		{mongo.CommandError{Code: 2, Name: "BadValue"}, chat.Internal},
		{mongo.WriteException{WriteErrors: mongo.WriteErrors{taken}}, chat.Internal},
		{mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: codeUpdateTooLarge}}}, chat.TooLarge},
		{mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{{WriteError: mongo.WriteError{Code: codeTooLarge}}}}, chat.TooLarge},
		{chat.Errorf(chat.NotFound, "no such account"), chat.NotFound},
	} {
		err := failure(c.err)
		if chat.KindOf(err) != c.want {
			t.Errorf("%v: got kind %d, want %d", c.err, chat.KindOf(err), c.want)
		}
		if strings.Contains(err.Error(), "alice") {
			t.Errorf("an address is told: %v", err)
		}
	}
	if failure(nil) != nil {
		t.Error("nil is a failure")
	}
}
