package kafka

import (
	"os"
	"strings"
	"testing"
)

// StartCluster runs a cluster until the test ends, in a folder of the test's. It
// skips the test unless KNATTER_SLOW is set.
func StartCluster(t testing.TB, opts Options) *Cluster {
	t.Helper()
	if os.Getenv("KNATTER_SLOW") == "" {
		t.Skip("starts Apache Kafka: KNATTER_SLOW=1 (needs Java 17, and Maven the first time)")
	}
	if opts.Dir == "" {
		dir, err := os.MkdirTemp("", "kafka-") // t.TempDir has the test's name in it, with what Kafka takes for a list
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		opts.Dir = dir
	}
	c, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			var said strings.Builder
			c.Output(&said, 4000)
			t.Log(said.String())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}
