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

// SecretFile is the name of the file with the log's secret in the data directory. It
// holds the password and nothing else, so that other programs can read it directly.
const SecretFile = "log.secret"

const secretBytes = 32

// secretOf returns the secret of the log in a directory. It creates one if there is
// none, and replaces one that others could read. For a log in memory it returns "".
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
		slog.Warn("replaced the log's secret, which others could read", slog.String("file", path))
	default:
		data, err := os.ReadFile(path)
		if secret, ok := readSecret(data); ok || err != nil {
			return secret, err
		}
		slog.Warn("replaced the log's secret, which was damaged", slog.String("file", path))
	}
	secret := newSecret()
	return secret, replace(path, []byte(secret+"\n"))
}

func newSecret() string {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	return base64.RawURLEncoding.EncodeToString(secret)
}

// readSecret reads a secret from its file, and reports whether it is valid. A secret
// that is empty or too short must not admit anybody.
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
		return nil // the next start creates one
	} else if err != nil {
		return err
	}
	if _, ok := readSecret(data); !ok {
		c.found(path, "it is damaged; the log gets a new secret", "", func() error { return os.Remove(path) })
	}
	return nil
}
