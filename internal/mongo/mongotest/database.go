// Package mongotest gives tests databases on a server of MongoDB's protocol: on the
// one that KNATTER_TEST_MONGODB names, or else, with KNATTER_SLOW, on FerretDB,
// which is built from tests/engines/ferretdb.
package mongotest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// shared is FerretDB for all tests of a process. It ends with the process.
var shared = sync.OnceValues(func() (*process, error) { return launch("127.0.0.1:0", "") })

// Database is the URL of a database that does not exist yet, and that is dropped
// when the test ends. Without a server the test is skipped.
func Database(t testing.TB) string {
	t.Helper()
	server := os.Getenv("KNATTER_TEST_MONGODB")
	if server == "" {
		needSlow(t)
		p, err := shared()
		if err != nil {
			t.Fatal(err)
		}
		server = p.url
	}
	return fresh(t, server)
}

// External reports whether Database is on the server that KNATTER_TEST_MONGODB names.
func External() bool { return os.Getenv("KNATTER_TEST_MONGODB") != "" }

func needSlow(t testing.TB) {
	t.Helper()
	if os.Getenv("KNATTER_SLOW") == "" {
		t.Skip("needs a server: KNATTER_TEST_MONGODB=mongodb://…, or KNATTER_SLOW=1, which builds FerretDB")
	}
}

// fresh is the URL of a new database on a server.
func fresh(t testing.TB, server string) string {
	t.Helper()
	name := "knatter-test-" + strings.ToLower(rand.Text()[:12])
	given, query, _ := strings.Cut(server, "?")
	scheme, rest, _ := strings.Cut(given, "://")
	hosts, database, _ := strings.Cut(rest, "/")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal("KNATTER_TEST_MONGODB is not a URL")
	}
	if database != "" && !values.Has("authSource") { // as it is where the URL's user is known
		values.Set("authSource", database)
	}
	address := scheme + "://" + hosts + "/" + name + "?" + values.Encode()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		client, err := mongo.Connect(options.Client().ApplyURI(address))
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = client.Disconnect(ctx) }()
		if err := client.Database(name).Drop(ctx); err != nil {
			t.Error(err)
		}
	})
	return address
}
