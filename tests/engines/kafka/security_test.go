package kafka_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
	engine "knatter.dev/chat/tests/engines/kafka"
)

func TestClientsOfASecureCluster(t *testing.T) {
	cluster := engine.StartCluster(t, engine.Options{Secure: true})
	right := cluster.Env()
	password, err := os.ReadFile(right["KNATTER_SASL_PASSWORD_FILE"])
	must(t, err)
	connect := func(changes map[string]string) error {
		env := maps.Clone(right)
		maps.Copy(env, changes)
		cfg, err := open.LogConfig(env)
		must(t, err)
		cfg.Timeout = 3 * time.Second
		if err := kafka.EnsureTopics(t.Context(), cfg); err != nil {
			return err
		}
		log, err := kafka.NewLog(t.Context(), cfg)
		if err != nil {
			return err
		}
		defer log.Close()
		e, err := chat.NewEvent("id", "alice", chat.MessagePosted, "room", chat.Posted{Text: "hi"})
		must(t, err)
		return log.Append(t.Context(), &e)
	}
	for _, mechanism := range []string{"SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"} {
		t.Run(mechanism, func(t *testing.T) {
			must(t, connect(map[string]string{"KNATTER_SASL_MECHANISM": mechanism}))
		})
	}
	nothing := map[string]string{"KNATTER_SASL_MECHANISM": "", "KNATTER_SASL_USER": "", "KNATTER_SASL_PASSWORD_FILE": ""}
	plain := map[string]string{"KNATTER_TLS": "", "KNATTER_TLS_CA": "", "KNATTER_TLS_CERT": "", "KNATTER_TLS_KEY": ""}
	for _, tt := range []struct {
		name    string
		changes map[string]string
		kind    chat.Kind
		says    string
	}{
		{"wrong password", map[string]string{"KNATTER_SASL_PASSWORD_FILE": "", "KNATTER_SASL_PASSWORD": "guess"}, chat.Invalid, "SASL_AUTHENTICATION_FAILED"},
		{"unknown user", map[string]string{"KNATTER_SASL_USER": "mallory"}, chat.Invalid, "SASL_AUTHENTICATION_FAILED"},
		{"wrong password, PLAIN", map[string]string{"KNATTER_SASL_MECHANISM": "PLAIN", "KNATTER_SASL_PASSWORD_FILE": "", "KNATTER_SASL_PASSWORD": "guess"}, chat.Invalid, "SASL_AUTHENTICATION_FAILED"},
		{"no user", nothing, chat.Unavailable, "SASL"},
		{"unknown authority", map[string]string{"KNATTER_TLS_CA": ""}, chat.Invalid, "unknown authority"},
		{"no certificate of ours", map[string]string{"KNATTER_TLS_CERT": "", "KNATTER_TLS_KEY": ""}, chat.Invalid, "certificate"},
		{"no TLS", plain, chat.Unavailable, "TLS"},
		{"TLS where there is none", map[string]string{"KNATTER_BROKERS": cluster.Internal(1)}, chat.Unavailable, "TLS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			err := connect(tt.changes)
			if chat.KindOf(err) != tt.kind || err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v (kind %v), want kind %v and something about %s", err, chat.KindOf(err), tt.kind, tt.says)
			}
			if err != nil && (strings.Contains(err.Error(), string(password)) || strings.Contains(err.Error(), "guess")) {
				t.Error("the password is told")
			}
			t.Logf("after %v: %v", time.Since(start).Round(time.Millisecond), err)
		})
	}
	t.Run("renewed password", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "password")
		must(t, os.WriteFile(file, []byte("old"), 0o600))
		env := maps.Clone(right)
		env["KNATTER_SASL_PASSWORD_FILE"] = file
		cfg, err := open.LogConfig(env)
		must(t, err)
		if err := kafka.EnsureTopics(t.Context(), cfg); chat.KindOf(err) != chat.Invalid {
			t.Errorf("got %v, want Invalid", err)
		}
		must(t, os.WriteFile(file, password, 0o600))
		must(t, kafka.EnsureTopics(t.Context(), cfg))
	})
}
