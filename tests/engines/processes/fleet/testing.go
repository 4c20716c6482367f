package fleet

import (
	"os"
	"testing"
)

// Run runs a fleet until the test ends, in a folder of the test's. It skips the test
// unless KNATTER_SLOW is set.
func Run(t testing.TB, opts Options) *Fleet {
	t.Helper()
	if os.Getenv("KNATTER_SLOW") == "" {
		t.Skip("starts every part as a process, and Apache Kafka: KNATTER_SLOW=1 (needs Java 17, and Maven the first time)")
	}
	if opts.Dir == "" {
		dir, err := os.MkdirTemp("", "knatter-processes-") // t.TempDir has the test's name in it, with what Kafka takes for a list
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		opts.Dir = dir
	}
	f, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range f.processes {
				t.Logf("--- %s\n%s", p.name, p.said())
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}
