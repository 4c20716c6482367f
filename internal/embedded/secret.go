package embedded

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// SecretFile is where in the directory of data the log's secret is. It is a password
// and nothing else, so that other programs can be pointed to the file.
const SecretFile = "log.secret"

const secretBytes = 32

// secretOf has the secret of the log in a directory. It is made when there is none, and
// anew when others could read it. "" is a log in memory.
func secretOf(dir string) (string, error) {
	if dir == "" {
		return newSecret(), nil
	}
	path := filepath.Join(filepath.Dir(dir), SecretFile)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", err
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		slog.Warn("others could read the log's secret, so it gets a new one", slog.String("file", path))
	default:
		data, err := os.ReadFile(path)
		if secret, ok := readSecret(data); ok || err != nil {
			return secret, err
		}
		slog.Warn("the log's secret was damaged, so it gets a new one", slog.String("file", path))
	}
	secret := newSecret()
	return secret, replace(path, []byte(secret+"\n"))
}

func newSecret() string {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	return base64.RawURLEncoding.EncodeToString(secret)
}

// readSecret reads what is in a secret's file, and whether it is one. What is too
// short to be one, or empty, must not let anybody in.
func readSecret(data []byte) (string, bool) {
	secret := strings.TrimRight(string(data), "\r\n")
	decoded, err := base64.RawURLEncoding.DecodeString(secret)
	return secret, err == nil && len(decoded) == secretBytes
}

// secret checks the file of the log's secret.
func (c *check) secret() error {
	path := filepath.Join(c.data, SecretFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the next start makes one
	} else if err != nil {
		return err
	}
	if _, ok := readSecret(data); !ok {
		c.found(path, "it is damaged; the log gets a new secret", "", func() error { return os.Remove(path) })
	}
	return nil
}
