package accounts

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/kafka/kafkatest"
)

func TestStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	env := map[string]string{
		"KNATTER_BROKERS": strings.Join(kafkatest.Start(t).Brokers, ","),
		"KNATTER_STORE":   "memory:",
		"KNATTER_KEYS":    path,
	}
	if err := Spec.Instance().Start(t.Context(), env); err == nil {
		t.Fatal("started without a key")
	}
	if _, err := auth.LoadOrCreateKey(path); err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{path, string(document)} {
		env["KNATTER_KEYS"] = key
		f := Spec.Instance()
		if err := f.Start(t.Context(), env); err != nil {
			t.Fatal(err)
		}
		x := &fixture{T: t, f: &Function{Handler: http.HandlerFunc(f.Handle)}}
		x.signUp("minji")
		x.do("DELETE", "/v1/sessions", x.logIn("minji").Access, nil).want(http.StatusNoContent)
		if err := f.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
