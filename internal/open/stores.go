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
	"knatter.dev/chat/internal/projection"
)

// Stores are the stores behind one URL.
type Stores struct {
	Events   chat.EventStore
	Rooms    projection.Rooms
	Accounts chat.AccountStore
	Sessions chat.SessionStore
	Attempts chat.AttemptStore
	Routes   chat.RouteStore
	Index    chat.SearchIndex
	Progress chat.ProgressStore

	check func(context.Context) error
	close func() error
}

// Check tells whether the stores can still be read and written; once they cannot
// for good, a new start is what helps. Errors: Unavailable.
func (s *Stores) Check(ctx context.Context) error { return s.check(ctx) }

// Close waits for calls in flight and closes the stores. None may be used any
// more.
func (s *Stores) Close() error { return s.close() }

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
		return inProcess(pebble.OpenMemory())
	case scheme == "pebble":
		if dir, ok := directory(rest); ok {
			return inProcess(pebble.Open(dir))
		}
	case scheme == "mongodb" || scheme == "mongodb+srv":
		s, err := mongo.Open(ctx, url)
		if err != nil {
			return nil, err
		}
		return storesOf(s), nil
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

func inProcess(s *pebble.Store, err error) (*Stores, error) {
	if err != nil {
		return nil, err
	}
	return storesOf(s), nil
}

// storesOf are the stores of one adapter.
func storesOf[
	E chat.EventStore, A chat.AccountStore, S chat.SessionStore, T chat.AttemptStore, W chat.RouteStore, X chat.SearchIndex, P chat.ProgressStore,
](s interface {
	Events() E
	Rooms() projection.Rooms
	Accounts() A
	Sessions() S
	Attempts() T
	Routes() W
	Index() X
	Progress() P
	Check(context.Context) error
	Close() error
}) *Stores {
	return &Stores{
		Events:   s.Events(),
		Rooms:    s.Rooms(),
		Accounts: s.Accounts(),
		Sessions: s.Sessions(),
		Attempts: s.Attempts(),
		Routes:   s.Routes(),
		Index:    s.Index(),
		Progress: s.Progress(),
		check:    s.Check,
		close:    s.Close,
	}
}
