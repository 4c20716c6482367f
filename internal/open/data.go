package open

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/damage"
	"knatter.dev/chat/internal/embedded"
	"knatter.dev/chat/internal/pebble"
)

// The parts of a directory of data that the program local keeps.
const (
	LogDir   = "log"
	StoreDir = "store"
	KeyFile  = "key.pem"
)

// CheckData looks for damage in a directory of data, all of it, and changes nothing.
// Until done is called nobody else can open the log in it, so that what was found can
// be mended.
//
// Errors: NotFound when there is no such directory of data; Unavailable when it is in
// use or cannot be read.
func CheckData(ctx context.Context, dir string) (problems []damage.Problem, done func(), err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	log, store := filepath.Join(dir, LogDir), filepath.Join(dir, StoreDir)
	if !is(log) && !is(store) && !embedded.Used(dir) {
		return nil, nil, chat.Errorf(chat.NotFound, "%s holds no data of Knatter", dir)
	}
	done = func() {}
	if is(log) {
		lock, err := embedded.Lock(log)
		if err != nil {
			return nil, nil, err
		}
		done = func() { _ = lock.Close() }
	}
	problems, err = checkParts(ctx, dir, log, store)
	if err != nil {
		done()
		return nil, nil, err
	}
	return problems, done, nil
}

func checkParts(ctx context.Context, dir, log, store string) ([]damage.Problem, error) {
	problems, err := embedded.Check(log)
	if err != nil {
		return nil, chat.Errorf(chat.Unavailable, "log directory %s: %w", log, err)
	}
	if is(store) {
		found, err := pebble.Check(ctx, store)
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	} else if embedded.Used(dir) {
		problems = append(problems, damage.Problem{File: store, What: "it is missing (as it should be if --store names another)", Loss: "accounts, which are kept nowhere else",
			Mend: func() error { return os.Mkdir(store, 0o700) }})
	}
	key := filepath.Join(dir, KeyFile)
	if _, err := auth.LoadKey(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		problems = append(problems, damage.Problem{File: key, What: err.Error(), Loss: "the key; who is logged in gets a new token by itself",
			Mend: func() error { return os.Remove(key) }})
	}
	return problems, nil
}

// is reports whether there is a file or directory.
func is(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
