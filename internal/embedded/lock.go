package embedded

import (
	"io"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"

	"knatter.dev/chat"
)

// Lock locks the directory of a log, which it creates if needed, until the result is
// closed or the process ends. Two brokers that append to the same files would overwrite
// each other's records.
//
// Errors: Unavailable, naming the directory.
func Lock(dir string) (io.Closer, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, chat.Errorf(chat.Unavailable, "log directory: %w", err)
	}
	lock, err := vfs.Default.Lock(filepath.Join(dir, "LOCK"))
	if os.IsPermission(err) {
		return nil, chat.Errorf(chat.Unavailable, "log directory: %w", err)
	}
	if err != nil {
		return nil, chat.Errorf(chat.Unavailable, "log directory %s is in use by another process: stop that one, or give this one a directory of its own by --data: %w", dir, err)
	}
	return lock, nil
}
