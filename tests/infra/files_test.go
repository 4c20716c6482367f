package infra

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	root = "../.."
	dir  = root + "/infra"
)

// object is a mapping of a YAML document.
type object = map[string]any

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// documents are those of a YAML stream, as encoding/json would read them.
func documents(t *testing.T, stream []byte) (all []object) {
	t.Helper()
	for d := yaml.NewDecoder(bytes.NewReader(stream)); ; {
		var v object
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if v != nil {
			all = append(all, plain(t, v))
		}
	}
}

func document(t *testing.T, path string) object {
	t.Helper()
	all := documents(t, read(t, path))
	if len(all) != 1 {
		t.Fatalf("%s has %d documents", path, len(all))
	}
	return all[0]
}

func plain(t *testing.T, v object) (out object) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// at is what is at a path of members and indexes, nil when there is nothing.
func at(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(object)
			v = m[step]
		case int:
			l, _ := v.([]any)
			if step >= len(l) {
				return nil
			}
			v = l[step]
		}
	}
	return v
}

func text(v any, path ...any) string {
	s, _ := at(v, path...).(string)
	return s
}

func list(v any, path ...any) []any {
	l, _ := at(v, path...).([]any)
	return l
}

func members(v any, path ...any) object {
	m, _ := at(v, path...).(object)
	return m
}

// installed is where a program is; the test is skipped when it is nowhere.
func installed(t *testing.T, name, from string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed (%s)", name, from)
	}
	return path
}

func slow(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("KNATTER_SLOW") == "" {
		t.Skip("KNATTER_SLOW=1 runs this: " + why)
	}
}
