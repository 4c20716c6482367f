package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/embedded"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
)

// Other programs append to the embedded log with the secret in the directory of
// data, by the settings that the cluster's binaries have, and not without.
func TestLogOfOthers(t *testing.T) {
	cfg := config{data: t.TempDir(), retention: 64 << 20}
	p, err := openParts(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close() }()
	secret := filepath.Join(cfg.data, embedded.SecretFile)
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte(strings.Repeat("x", 43)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	brokers := "KNATTER_BROKERS=" + strings.Join(p.kafka.Brokers, ",")
	for _, c := range []struct {
		env  []string
		want bool
	}{
		{[]string{brokers, "KNATTER_SASL_MECHANISM=SCRAM-SHA-512", "KNATTER_SASL_USER=knatter", "KNATTER_SASL_PASSWORD_FILE=" + secret}, true},
		{[]string{brokers, "KNATTER_SASL_MECHANISM=SCRAM-SHA-512", "KNATTER_SASL_USER=knatter", "KNATTER_SASL_PASSWORD_FILE=" + wrong}, false},
		{[]string{brokers}, false},
	} {
		env := make(map[string]string)
		for _, setting := range c.env {
			name, value, _ := strings.Cut(setting, "=")
			env[name] = value
		}
		kc, err := open.LogConfig(env)
		if err != nil {
			t.Fatal(err)
		}
		log, err := kafka.NewLog(t.Context(), kc)
		if err == nil {
			var e chat.Event
			if e, err = chat.NewEvent("id", "alice", chat.MessagePosted, "room", chat.Posted{Text: "forged?"}); err == nil {
				err = log.Append(t.Context(), &e)
			}
			log.Close()
		}
		if (err == nil) != c.want {
			t.Errorf("%v: %v", c.env[1:], err)
		}
		t.Log(err)
	}
}

// Whatever becomes of the files that say who may do what, everything is there at the
// next start, and strangers write as little as before.
func TestDamagedAccess(t *testing.T) {
	template := fillData(t, false)
	for _, name := range []string{embedded.SecretFile, "log/sasl.json", "log/acls.json"} {
		for what, harm := range map[string]func(path string) error{
			"removed": os.Remove,
			"emptied": func(path string) error { return os.Truncate(path, 0) },
			"cut":     func(path string) error { return os.Truncate(path, 11) },
			"flipped": func(path string) error {
				data, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				data[len(data)/2] ^= 0x80
				return os.WriteFile(path, data, 0o600)
			},
		} {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(template)); err != nil {
				t.Fatal(err)
			}
			if err := harm(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			if missing, refused := left(t, dir); refused != nil || len(missing) > 0 {
				t.Errorf("%s %s: refused: %v, missing: %v", name, what, refused, missing)
			}
		}
	}
}

func TestAccess(t *testing.T) {
	for _, c := range []struct {
		cfg  config
		want string
	}{
		{config{data: "d"}, "reading is free; SASL user knatter, password in d/log.secret"},
		{config{data: "d", verbose: true}, "reading is free; SASL user knatter, password s3cret"},
		{config{ephemeral: true}, "reading is free; SASL user knatter, --verbose shows the password"},
		{config{data: "d", private: true}, "private; SASL user knatter, password in d/log.secret"},
	} {
		if got := strings.TrimSpace(access(c.cfg, "s3cret")); got != c.want {
			t.Errorf("%+v: %s", c.cfg, got)
		}
	}
}
