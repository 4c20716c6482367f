package main

import (
	"os"
	"path/filepath"
	"testing"

	"knatter.dev/chat/tests/load/report"
)

// A test binary that is started as a worker, by the tests below, is one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		if runWorker(os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Profiles run, in small, against a real server, and find nothing wrong: two of
// them, and all when KNATTER_SLOW is set.
func TestProfilesRun(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "knatter")
	if err := build(t.Context(), binary); err != nil {
		t.Fatal(err)
	}
	names, length := []string{"storm", "lively"}, "3s"
	if os.Getenv("KNATTER_SLOW") != "" {
		names, length = []string{"seed", "spike", "small", "big", "idle", "storm", "steady", "lively"}, "6s"
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			out, rate := t.TempDir(), "50"
			if name == "lively" {
				rate = "200" // of each hundred messages two are recalled
			}
			err := measure([]string{"-profile", name, "-binary", binary, "-out", out, "-users", "40", "-rate", rate, "-length", length, "-connects", "200", "-stages"})
			if err != nil {
				t.Fatal(err)
			}
			found, err := filepath.Glob(filepath.Join(out, "*.json"))
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			r, err := report.Read(found[0])
			if err != nil {
				t.Fatal(err)
			}
			last := r.Phases[len(r.Phases)-1]
			if n := faults(r.Checks); n > 0 || last.Received != last.Expected || r.Checks.Disconnects > 0 {
				t.Errorf("%d faults, %d of %d received: %+v", n, last.Received, last.Expected, r.Checks)
			}
			if name != "idle" && (last.Received == 0 || last.Receipt.Max <= 0 || last.Ack.Count != last.Acked) {
				t.Errorf("nothing was measured: %+v", last)
			}
			if name == "lively" && !lived(last.Others) {
				t.Errorf("not everything went on around the messages: %+v", last.Others)
			}
			if name == "storm" && len(r.Notes) < 3 {
				t.Errorf("no storms: %v", r.Notes)
			}
		})
	}
}

// lived reports whether events of each kind were sent, and all of them received but
// signals, of which some were.
func lived(others []report.Other) bool {
	for _, o := range others {
		if o.Sent == 0 || o.Received == 0 || o.Name != kindNames[typing] && o.Received != o.Expected {
			return false
		}
	}
	return len(others) == int(kinds)-1
}
