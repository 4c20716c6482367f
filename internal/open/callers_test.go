package open_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/open"
)

func TestCallers(t *testing.T) {
	const first, second = "first-0123456789", "second-0123456789"
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(first+"\n"+second+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	type env = map[string]string
	for name, c := range map[string]struct {
		env    env
		shown  string // "" for nothing
		admits []string
	}{
		"nothing":            {env: env{}, admits: []string{"", first}},
		"one":                {env: env{"KNATTER_CALLER_SECRET": first}, shown: first, admits: []string{first}},
		"two":                {env: env{"KNATTER_CALLER_SECRET": first + ", " + second}, shown: first, admits: []string{first, second}},
		"a file":             {env: env{"KNATTER_CALLER_SECRET_FILE": file}, shown: first, admits: []string{first, second}},
		"a file, as in pods": {env: env{"KNATTER_CALLER_SECRET": "", "KNATTER_CALLER_SECRET_FILE": file}, shown: first, admits: []string{first}},
	} {
		callers, err := open.Callers(c.env)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		h := make(http.Header)
		if callers.Show(h); h.Get(auth.CallerHeader) != c.shown {
			t.Errorf("%s: shows %q", name, h)
		}
		for _, secret := range c.admits {
			if !callers.Admits(&http.Request{Header: http.Header{auth.CallerHeader: {secret}}}) {
				t.Errorf("%s: does not admit %q", name, secret)
			}
		}
	}
	for name, env := range map[string]env{
		"empty":         {"KNATTER_CALLER_SECRET": ""},
		"commas":        {"KNATTER_CALLER_SECRET": " , "},
		"short":         {"KNATTER_CALLER_SECRET": "secret"},
		"both":          {"KNATTER_CALLER_SECRET": first, "KNATTER_CALLER_SECRET_FILE": file},
		"no such file":  {"KNATTER_CALLER_SECRET_FILE": file + "-not"},
		"an empty file": {"KNATTER_CALLER_SECRET_FILE": empty},
	} {
		if callers, err := open.Callers(env); chat.KindOf(err) != chat.Invalid {
			t.Errorf("%s: %v, %v", name, callers, err)
		}
	}
}
