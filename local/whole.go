package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/embedded"
)

// checkStore refuses to create an empty store beside a log that has been used, since
// the accounts were in the missing store. Errors: Unavailable.
func checkStore(cfg config) error {
	if cfg.ephemeral || cfg.store != "" || !embedded.Used(cfg.data) {
		return nil
	}
	dir, err := filepath.Abs(filepath.Join(cfg.data, "store"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return chat.Errorf(chat.Unavailable, "%s is missing, and accounts are kept nowhere else: put it back from a backup. "+
		"To begin without accounts, make an empty directory of that name: rooms and messages come back as far as the log has them", dir)
}
