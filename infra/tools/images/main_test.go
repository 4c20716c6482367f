package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestPush builds a program for two platforms and pulls it from a registry again.
func TestPush(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "go.mod"), "module example.test/m\n\ngo 1.26.0\n")
	write(t, filepath.Join(root, "cmd", "hello", "main.go"), "package main\n\nfunc main() {}\n")
	server := httptest.NewServer(registry.New())
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")

	push := func() string {
		var out bytes.Buffer
		if err := run(t.Context(), []string{"-registry", host + "/k", "-registry-insecure", "-root", root, "./cmd/hello"}, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	said := push()
	if again := push(); again != said {
		t.Errorf("the same program made %s, then %s", said, again)
	}
	image, reference, _ := strings.Cut(strings.TrimSpace(said), " ")
	ref, err := name.NewDigest(reference)
	if image != "hello" || err != nil || ref.Context().RepositoryStr() != "k/hello" {
		t.Fatalf("said %q, %v", said, err)
	}
	for _, architecture := range []string{"amd64", "arm64"} {
		image, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: architecture}))
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if c := config.Config; config.Architecture != architecture || c.User != "65532:65532" || strings.Join(c.Entrypoint, " ") != "/knatter" || c.StopSignal != "SIGTERM" {
			t.Errorf("%s: %+v", architecture, config)
		}
		files := contents(t, image)
		if program := files["knatter"]; !bytes.HasPrefix(program, []byte("\x7fELF")) || bytes.Contains(program, []byte("ld-linux")) {
			t.Errorf("%s: not a static program, %d bytes", architecture, len(program))
		}
		if pool := x509.NewCertPool(); !pool.AppendCertsFromPEM(files["etc/ssl/certs/ca-certificates.crt"]) {
			t.Errorf("%s: no authorities", architecture)
		}
		if len(files) != 2 {
			t.Errorf("%s: %d files", architecture, len(files))
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"-registry", "registry.test/k"},
		{"-registry", "no registry", "./cmd/hello"},
		{"-registry", "registry.test/k", "-platforms", "//", "./cmd/hello"},
		{"-registry", "registry.test/k", "-root", t.TempDir(), "./cmd/hello"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, image v1.Image) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	r := mutate.Extract(image)
	defer func() { _ = r.Close() }()
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}
