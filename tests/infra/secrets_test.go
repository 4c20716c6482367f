package infra

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/open"
)

// The script's key is one that the accounts function takes, its secret one that
// functions and callers take, and they stay what they are.
func TestSecrets(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("giving files to other users takes root")
	}
	installed(t, "openssl", "package openssl")
	keys, grafana, callers := t.TempDir(), t.TempDir(), t.TempDir()
	run := func() []byte {
		if out, err := exec.CommandContext(t.Context(), "sh", absolute(t, dir+"/compose/secrets.sh"), keys, grafana, callers).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		key, err := os.ReadFile(filepath.Join(keys, "keys.pem"))
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	key := run()
	if _, err := auth.ParseKey(key); err != nil {
		t.Error(err)
	}
	if secret, err := open.Callers(map[string]string{"KNATTER_CALLER_SECRET_FILE": callers + "/secret"}); err != nil || secret == nil {
		t.Errorf("callers: %v", err)
	}
	if !bytes.Equal(run(), key) {
		t.Error("another key the second time")
	}
	for _, file := range []string{keys + "/keys.pem", grafana + "/password", callers + "/secret"} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 || info.Size() == 0 {
			t.Errorf("%s: %v, %d bytes", file, info.Mode(), info.Size())
		}
	}
}
