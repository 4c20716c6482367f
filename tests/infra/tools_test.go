package infra

import (
	"os/exec"
	"path/filepath"
	"testing"
)

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// tool runs a program of the module tools, which is its own so that its dependencies
// are not the product's.
func tool(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"run", "-C", "tools"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			t.Fatalf("%v: %v\n%s", args, err, exit.Stderr)
		}
		t.Fatalf("%v: %v", args, err)
	}
	return out
}
