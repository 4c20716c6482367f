package open_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/open"
)

func TestLogConfig(t *testing.T) {
	c, err := open.LogConfig(map[string]string{"KNATTER_BROKERS": "a:9092, b:9092,", "KNATTER_GENERATION": "3"})
	if err != nil || !slices.Equal(c.Brokers, []string{"a:9092", "b:9092"}) || c.Generation != 3 || c.TLS != nil || c.SASL != nil {
		t.Errorf("got %+v, %v", c, err)
	}
	c, err = open.LogConfig(map[string]string{
		"KNATTER_BROKERS": "a:9092", "KNATTER_PARTITIONS": "64", "KNATTER_DELIVERY_PARTITIONS": "8",
		"KNATTER_REPLICATION": "3", "KNATTER_RETENTION_BYTES": "-1",
	})
	if err != nil || c.Partitions != 64 || c.DeliveryPartitions != 8 || c.Replication != 3 || c.RetentionBytes != -1 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestLogConfigWithSecrets(t *testing.T) {
	const secret = "correct horse battery staple"
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		for name, value := range map[string]string{"KNATTER_SASL_PASSWORD": secret, "KNATTER_SASL_PASSWORD_FILE": file} {
			c, err := open.LogConfig(map[string]string{
				"KNATTER_BROKERS": "a:9092", "KNATTER_TLS": "true",
				"KNATTER_SASL_MECHANISM": mechanism, "KNATTER_SASL_USER": "knatter", name: value,
			})
			if err != nil {
				t.Fatal(err)
			}
			if c.TLS == nil || c.TLS.RootCAs != nil || c.SASL == nil || c.SASL.Name() != mechanism {
				t.Errorf("%s: got %+v", mechanism, c)
			}
			if shown := fmt.Sprintf("%+v %#v", c, c); strings.Contains(shown, secret) {
				t.Error("the configuration shows the password")
			}
			if _, first, err := c.SASL.Authenticate(t.Context(), "a:9092"); err != nil || mechanism == "PLAIN" && !strings.HasSuffix(string(first), "\x00"+secret) {
				t.Errorf("%s by %s: %q, %v", mechanism, name, first, err)
			}
		}
	}
}

func TestLogConfigRefusesWhatCannotBeMeant(t *testing.T) {
	const secret = "correct horse battery staple"
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, env := range []map[string]string{
		{"KNATTER_BROKERS": " ,"},
		{"KNATTER_GENERATION": "32"},
		{"KNATTER_GENERATION": "one"},
		{"KNATTER_PARTITIONS": "0"},
		{"KNATTER_PARTITIONS": "many"},
		{"KNATTER_DELIVERY_PARTITIONS": "-1"},
		{"KNATTER_REPLICATION": "101"},
		{"KNATTER_RETENTION_BYTES": "1 GB"},
		{"KNATTER_RETENTION_BYTES": "-2"},
		{"KNATTER_TLS": "maybe"},
		{"KNATTER_TLS": "false", "KNATTER_TLS_CA": empty},
		{"KNATTER_TLS_CA": empty},
		{"KNATTER_TLS_CA": empty + ".missing"},
		{"KNATTER_TLS_CERT": empty},
		{"KNATTER_TLS_CERT": empty, "KNATTER_TLS_KEY": empty},
		{"KNATTER_SASL_USER": "knatter"},
		{"KNATTER_SASL_PASSWORD": secret},
		{"KNATTER_SASL_MECHANISM": "SCRAM-SHA-512", "KNATTER_SASL_USER": "knatter"},
		{"KNATTER_SASL_MECHANISM": "SCRAM-SHA-512", "KNATTER_SASL_PASSWORD": secret},
		{"KNATTER_SASL_MECHANISM": "SCRAM-SHA-512", "KNATTER_SASL_USER": "knatter", "KNATTER_SASL_PASSWORD": secret, "KNATTER_SASL_PASSWORD_FILE": empty},
		{"KNATTER_SASL_MECHANISM": "SCRAM-SHA-512", "KNATTER_SASL_USER": "knatter", "KNATTER_SASL_PASSWORD_FILE": empty + ".missing"},
		{"KNATTER_SASL_MECHANISM": "SCRAM-SHA-1", "KNATTER_SASL_USER": "knatter", "KNATTER_SASL_PASSWORD": secret},
		{"KNATTER_SASL_MECHANISM": "PLAIN", "KNATTER_SASL_USER": "knatter", "KNATTER_SASL_PASSWORD": secret}, // without TLS
	} {
		given := map[string]string{"KNATTER_BROKERS": "a:9092"}
		maps.Copy(given, env)
		_, err := open.LogConfig(given)
		if chat.KindOf(err) != chat.Invalid {
			t.Errorf("%v: got %v, want Invalid", env, err)
			continue
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%v: the password is told: %v", env, err)
		}
		for name := range env { // says which variable it is
			if prefix := strings.Join(strings.Split(name, "_")[:2], "_"); !strings.Contains(err.Error(), prefix) {
				t.Errorf("%v: not told which: %v", env, err)
			}
		}
	}
	if _, err := open.LogConfig(nil); chat.KindOf(err) != chat.Invalid {
		t.Errorf("got %v, want Invalid", err)
	}
}
