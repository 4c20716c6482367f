package open

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/mongo/mongotest"
)

func TestStore(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for url, dir := range map[string]string{
		"memory:":                             "",
		"pebble:data":                         "data",
		"pebble:below/data":                   "below/data",
		"pebble://" + here + "/with blank%20": "with blank%20",
		"pebble:" + here + "/one-slash":       "one-slash",
	} {
		s, err := Store(t.Context(), url)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		account := chat.Account{ID: "alice", Email: "alice@example.com"}
		if err := s.Accounts.Create(t.Context(), account); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		complete(t, s)
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if dir != "" {
			if entries, err := os.ReadDir(dir); err != nil || len(entries) == 0 {
				t.Errorf("%s: nothing in %s: %v", url, dir, err)
			}
			if _, err := Store(t.Context(), url); err == nil || !strings.Contains(err.Error(), filepath.Join(here, filepath.Base(dir))) && !strings.Contains(err.Error(), dir) {
				t.Errorf("%s opened twice: %v", url, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if err := s.Check(t.Context()); chat.KindOf(err) != chat.Unavailable {
			t.Errorf("%s: closed, but %v", url, err)
		}
	}
}

// complete checks that an adapter has every store.
func complete(t *testing.T, s *Stores) {
	t.Helper()
	all := reflect.ValueOf(s.Stores)
	for i := range all.NumField() {
		if all.Field(i).IsZero() {
			t.Errorf("there are no %s", all.Type().Field(i).Name)
		}
	}
}

func TestMongoDB(t *testing.T) {
	url := mongotest.Database(t)
	var stores []*Stores
	for range 2 { // as many processes do
		s, err := Store(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		stores = append(stores, s)
	}
	if err := stores[0].Accounts.Create(t.Context(), chat.Account{ID: "alice", Email: "alice@example.com"}); err != nil {
		t.Error(err)
	}
	for _, s := range stores {
		complete(t, s)
		if a, err := s.Accounts.Account(t.Context(), "alice"); err != nil || a.Email != "alice@example.com" {
			t.Errorf("got %+v, %v", a, err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Check(t.Context()); chat.KindOf(err) != chat.Unavailable {
			t.Errorf("closed, but %v", err)
		}
	}
}

func TestNoStore(t *testing.T) {
	for _, url := range []string{"", "pebble", "pebble:", "pebble://", "pebble://data", "memory:x", "mongo://alice:secret@host/db", "/var/lib/knatter"} {
		_, err := Store(t.Context(), url)
		if chat.KindOf(err) != chat.Invalid || !strings.Contains(err.Error(), "pebble:") || !strings.Contains(err.Error(), "memory:") || !strings.Contains(err.Error(), "mongodb:") {
			t.Errorf("%q: got %v, want an error that names the schemes", url, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the password is told: %v", url, err)
		}
	}
	for _, url := range []string{"mongodb:", "mongodb://host", "mongodb://alice:secret@host/"} {
		_, err := Store(t.Context(), url)
		if chat.KindOf(err) != chat.Invalid || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, want Invalid", url, err)
		}
	}
}
