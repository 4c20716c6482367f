// Package open turns what the environment says into adapters: a store's URL into
// stores, brokers into a log. Beside tests it is the only importer of the
// adapters of stores, so that adding one is a line here.
package open

import (
	"context"
	"fmt"
	"strings"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/mongo"
	"knatter.dev/chat/internal/pebble"
	"knatter.dev/chat/internal/store"
)

// Stores are the stores behind one URL.
type Stores struct {
	store.Stores
	store.Adapter
}

// Store opens the stores that a URL names:
//
//	pebble:///var/lib/knatter   embedded, in that directory
//	pebble:data                 embedded, in a directory below the working directory
//	memory:                     embedded, empty, gone when closed
//	mongodb://host/database     MongoDB, as its drivers write it; mongodb+srv:// too
//
// A directory is for one process at a time, a database for any number. Errors:
// Invalid for any other URL; Unavailable, naming the directory or the database,
// when it is in use or cannot be reached or used.
func Store(ctx context.Context, url string) (*Stores, error) {
	scheme, rest, _ := strings.Cut(url, ":")
	switch {
	case scheme == "memory" && rest == "":
		return opened(pebble.OpenMemory())
	case scheme == "pebble":
		if dir, ok := directory(rest); ok {
			return opened(pebble.Open(dir))
		}
	case scheme == "mongodb" || scheme == "mongodb+srv":
		return opened(mongo.Open(ctx, url))
	}
	if strings.Contains(rest, "@") { // perhaps a password is in front of it
		url = scheme + ":…"
	}
	return nil, chat.Errorf(chat.Invalid, "%q names no store: write pebble:///absolute/directory, pebble:directory, memory: or mongodb://host/database", url)
}

// StoreOf opens the stores that KNATTER_STORE names. Errors: as those of [Store].
func StoreOf(ctx context.Context, env map[string]string) (*Stores, error) {
	s, err := Store(ctx, env["KNATTER_STORE"])
	if err != nil {
		return nil, fmt.Errorf("KNATTER_STORE: %w", err)
	}
	return s, nil
}

// directory is the path in a URL behind its scheme. What follows "//" would be a
// host, so a relative directory has none.
func directory(rest string) (string, bool) {
	if path, ok := strings.CutPrefix(rest, "//"); ok {
		return path, strings.HasPrefix(path, "/")
	}
	return rest, rest != ""
}

func opened(a store.Adapter, err error) (*Stores, error) {
	if err != nil {
		return nil, err
	}
	return &Stores{a.Stores(), a}, nil
}
