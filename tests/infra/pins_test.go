package infra

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unpinned are the images of others that are named by a tag: their registries could
// not be asked where this was written. infra/README.md says how to pin them; then
// they go from this list.
var unpinned = []string{
	"redpandadata/redpanda:v25.2.7", "mongo:8.0.13", "mongodb/mongodb-atlas-local:8.0", "ghcr.io/knative/helloworld-go:latest",
	"golang:1.26.8-bookworm", "busybox:1.37.0-musl", "registry:2",
}

var (
	action    = regexp.MustCompile(`(?m)^\s*-?\s*uses:\s*(\S+)(.*)$`)
	commit    = regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40}$`)
	reference = regexp.MustCompile(`(?m)(?:^FROM |--from=|image: |REDPANDA: |MONGODB: |HELLO=|--publish \S+ |redpanda.yaml:ro" )([\w./-]+:[\w.-]+(?:@sha256:[0-9a-f]{64})?)`)
)

// What others make is what it was when it was chosen: a tag can be moved, a commit
// and a digest cannot.
func TestPins(t *testing.T) {
	workflows, err := filepath.Glob("../../.github/workflows/*.yml")
	if err != nil || len(workflows) == 0 {
		t.Fatalf("%d workflows, %v", len(workflows), err)
	}
	for _, file := range workflows {
		for _, m := range action.FindAllStringSubmatch(contents(t, file), -1) {
			if !strings.HasPrefix(m[1], "./") && (!commit.MatchString(m[1]) || !strings.HasPrefix(m[2], " # v")) {
				t.Errorf("%s: %s is not pinned to a commit, with its version as a comment", file, m[1])
			}
		}
	}
	seen := make(map[string]bool)
	for _, file := range append(workflows, dir+"/compose.yaml", dir+"/Dockerfile") {
		for _, m := range reference.FindAllStringSubmatch(contents(t, file), -1) {
			seen[m[1]] = true
			if !strings.Contains(m[1], "@sha256:") && !slices.Contains(unpinned, m[1]) {
				t.Errorf("%s: %s is not pinned to a digest", file, m[1])
			}
		}
	}
	for _, image := range unpinned {
		if !seen[image] {
			t.Errorf("%s is used nowhere, or pinned: take it from the list", image)
		}
	}
}

func contents(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
