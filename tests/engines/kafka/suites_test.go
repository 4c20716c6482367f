package kafka_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	engine "knatter.dev/chat/tests/engines/kafka"
)

// suites are the tests that get their log from kafkatest.
var suites = []string{"internal/kafka", "internal/dispatch", "connector"}

// TestSuites runs the suites that make test runs on the embedded log, on one broker
// and on three.
func TestSuites(t *testing.T) {
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "engine\tsuite\tpassed\tskipped\tfailed\tseconds\t")
	for _, stage := range []struct {
		name   string
		opts   engine.Options
		suites []string
	}{
		{"Kafka, 1 broker", engine.Options{Settings: lessWork}, suites},
		{"Kafka, 3 brokers, TLS and SASL", engine.Options{Brokers: 3, Secure: true, Settings: lessWork}, suites[:2]},
	} {
		t.Run(stage.name, func(t *testing.T) {
			cluster := engine.StartCluster(t, stage.opts)
			for _, suite := range stage.suites {
				start := time.Now()
				r := runSuite(t, suite, cluster.Env())
				fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%.0f\t%s\n", stage.name, suite, r.ended["pass"], r.ended["skip"], r.ended["fail"],
					time.Since(start).Seconds(), strings.Join(r.failed, "; "))
			}
		})
	}
	w.Flush()
	t.Logf("\n%s", &table)
}

// lessWork has brokers that many tests share not delete files by the thousand.
var lessWork = map[string]string{"log.index.size.max.bytes": "65536"}

// result is how the tests of a suite ended.
type result struct {
	ended  map[string]int // by pass, fail, skip
	failed []string       // names and what they said last, for the table
}

// runSuite runs a package's tests, and counts them by how they ended.
func runSuite(t *testing.T, suite string, env map[string]string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-json", "./"+suite)
	cmd.Dir = "../../.."
	cmd.Env = os.Environ()
	env = maps.Clone(env)
	env["KNATTER_TEST_BROKERS"] = env["KNATTER_BROKERS"]
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.Output()
	r := result{ended: make(map[string]int)}
	said := make(map[string][]string)
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var event struct{ Action, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &event) != nil || event.Test == "" {
			continue
		}
		said[event.Test] = append(said[event.Test], event.Output)
		if event.Action == "fail" {
			t.Errorf("%s of %s failed:\n%s", event.Test, suite, strings.Join(said[event.Test], ""))
			r.failed = append(r.failed, event.Test+": "+reason(said[event.Test]))
		}
		if slices.Contains([]string{"pass", "fail", "skip"}, event.Action) {
			r.ended[event.Action]++
		}
	}
	if err != nil && r.ended["fail"] == 0 {
		t.Errorf("%s: %v: %s", suite, err, out)
	}
	return r
}

// reason is the first line that a failed test said about its failure.
func reason(said []string) string {
	for _, line := range said {
		if place, rest, ok := strings.Cut(line, ".go:"); ok && strings.HasPrefix(place, " ") {
			return strings.TrimSpace(place) + ".go:" + strings.TrimSpace(rest)
		}
	}
	return "?"
}
