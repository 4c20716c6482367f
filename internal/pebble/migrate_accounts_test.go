package pebble

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"knatter.dev/chat/internal/chattest"
)

// TestFromSchema4 opens what the version before wrote, also once more.
func TestFromSchema4(t *testing.T) {
	fs := vfs.NewMem()
	s, err := open("db", withFS(fs))
	must(t, err)
	for key, account := range chattest.AccountsToMigrate() {
		must(t, setJSON(s.db, nameKey(kindAccount, account.ID), &account))
		must(t, s.db.Set(nameKey(kindEmail, key), []byte(account.ID), pebble.Sync))
	}
	for range 2 {
		must(t, s.db.Set([]byte{kindSchema}, []byte(schema4), pebble.Sync))
		must(t, s.Close())
		s, err = open("db", withFS(fs))
		must(t, err)
		chattest.MigratedAccounts(t, s.Accounts())
	}
	must(t, s.Close())
}
