// Package docs tests that the documentation tells the truth: it compares
// OpenAPI, AsyncAPI, README and ARCHITECTURE with the system that they describe.
package docs

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
	"knatter.dev/chat/internal/listen/listentest"
)

const root = "../.."

const password = "correct horse battery staple"

var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "knatter-docs-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "knatter")
	cmd := exec.Command("go", "build", "-o", path, "./local")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./local: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// server is the local runtime as a process of its own.
type server struct {
	listen, admin string
}

func (s server) url() string { return "http://" + s.listen }

// start runs the local runtime until the test ends.
func start(t *testing.T) server {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	s := server{listentest.Address(t), listentest.Address(t)}
	cmd := exec.Command(path, "--listen", s.listen, "--admin", s.admin, "--ephemeral")
	cmd.Stderr = os.Stderr
	cmd.Stdout = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for tick := time.Tick(20 * time.Millisecond); ; {
		res, err := http.Get(s.url() + "/readyz")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return s
			}
		}
		select {
		case <-tick:
		case err := <-ended:
			ended <- err
			t.Fatalf("the server ended with %v", err)
		case <-ctx.Done():
			t.Fatalf("not ready in time: %v", err)
		}
	}
}

// document is a YAML document as JSON schemas see it.
type document struct {
	root     map[string]any
	compiler *jsonschema.Compiler
}

// load reads a document. Its object schemas are taken as closed, so that a member
// that the system has and the document has not is found; clients, for which
// the document is, have to ignore such members.
func load(t *testing.T, path string, draft *jsonschema.Draft) document {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := yaml.Unmarshal(raw, &d.root); err != nil {
		t.Fatal(err)
	}
	d.root = plain(t, d.root).(map[string]any)
	closed := plain(t, d.root)
	closeObjects(closed)
	d.compiler = jsonschema.NewCompiler()
	d.compiler.DefaultDraft(draft)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("doc.json", closed); err != nil {
		t.Fatal(err)
	}
	return d
}

// plain is v as encoding/json would read it.
func plain(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		_, object := v["properties"]
		if _, said := v["additionalProperties"]; object && v["type"] == "object" && !said {
			v["additionalProperties"] = false
		}
		for _, member := range v {
			closeObjects(member)
		}
	case []any:
		for _, item := range v {
			closeObjects(item)
		}
	}
}

// check validates v against the schema at a JSON pointer of the document.
func (d document) check(t *testing.T, what, pointer string, v any) {
	t.Helper()
	schema, err := d.compiler.Compile("doc.json#" + pointer)
	if err != nil {
		t.Fatalf("%s: %v", pointer, err)
	}
	if err := schema.Validate(v); err != nil {
		t.Errorf("%s: %v\n%v", what, err, v)
	}
}

// follow resolves references.
func (d document) follow(t *testing.T, v any) map[string]any {
	t.Helper()
	m, _ := v.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m
	}
	return d.follow(t, d.at(t, ref))
}

// at is what a reference within the document refers to.
func (d document) at(t *testing.T, ref string) any {
	t.Helper()
	var v any = d.root
	for _, name := range pointerNames(ref) {
		m, _ := v.(map[string]any)
		if v = m[name]; v == nil {
			t.Fatalf("%s refers to nothing", ref)
		}
	}
	return v
}

// official validates the document against the format's own schema.
func (d document) official(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	schema, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("official.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("official.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(d.root); err != nil {
		t.Errorf("not valid by %s: %v", name, err)
	}
	for _, ref := range references(d.root) {
		d.at(t, ref)
	}
}
