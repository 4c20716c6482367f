package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	pprof "github.com/google/pprof/profile"

	"knatter.dev/chat/tests/load/report"
)

const (
	profileMost = 20 * time.Second
	profileLate = 2 * time.Second // after a step's beginning and before its end
)

// stages finds out where the server's CPU time goes, from its CPU profiles.
type stages struct {
	wait  chan struct{} // closed when the profile under way is there
	taken []sampling
}

// sampling is one CPU profile.
type sampling struct {
	phase string
	raw   []byte
	nanos map[string]int64
	took  time.Duration
	err   error
}

// rules give a sample its stage: of its functions, from the innermost one out,
// the first that one of them is a part of decides.
var rules = []struct{ part, stage string }{
	{"runtime.gcBgMarkWorker", "garbage collection"},
	{"runtime.gcAssistAlloc", "garbage collection"},
	{"runtime.bgsweep", "garbage collection"},
	{"runtime.bgscavenge", "garbage collection"},
	{"runtime.gcStart", "garbage collection"},
	{"runtime.schedule", "scheduling"},
	{"runtime.findRunnable", "scheduling"},
	{"internal/analysis.", "analysis"},
	{"functions/index.", "index"},
	{"functions/persist.", "persist"},
	{"functions/fanout.", "route"},
	{"pebble/v2.(*DB).compact", "store: flush and compaction"},
	{"pebble/v2.(*DB).flush", "store: flush and compaction"},
	{"pebble/v2/record.", "store: write-ahead log"},
	{"internal/pebble.", "store: other"},
	{"newWriter", "write"},
	{"connector.(*queue).write", "write"},
	{"connector.(*queue).push", "deliver"},
	{"connector.(*hub).deliver", "deliver"},
	{"kfake.", "log: broker"},
	{"kgo.", "log: client"},
	{"internal/dispatch.", "dispatch"},
	{"internal/kafka.", "log: client"},
	{"connector.(*session)", "read"},
	{"connector.", "connector: other"},
}

func stageOf(s *pprof.Sample) string {
	for _, l := range s.Location {
		for _, line := range l.Line {
			for _, r := range rules {
				if strings.Contains(line.Function.Name, r.part) {
					return r.stage
				}
			}
		}
	}
	return "other"
}

// begin takes a profile in the middle of a step.
func (s *stages) begin(ctx context.Context, admin, phase string, length time.Duration) {
	s.wait = make(chan struct{})
	took := min(length-2*profileLate, profileMost).Truncate(time.Second)
	if admin == "" || took < time.Second {
		close(s.wait)
		return
	}
	s.taken = append(s.taken, sampling{phase: phase, took: took})
	t := &s.taken[len(s.taken)-1]
	wait := s.wait
	go func() {
		defer close(wait)
		select {
		case <-time.After(profileLate):
			if t.raw, t.err = sample(ctx, admin, took); t.err == nil {
				t.nanos, t.err = split(t.raw)
			}
		case <-ctx.Done():
			t.err = ctx.Err()
		}
	}()
}

// end waits for the profile that begin began.
func (s *stages) end() { <-s.wait }

func sample(ctx context.Context, admin string, took time.Duration) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", admin, took.Seconds()), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("CPU profile: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	return io.ReadAll(resp.Body)
}

// split divides a profile's time among the stages.
func split(raw []byte) (map[string]int64, error) {
	p, err := pprof.ParseData(raw)
	if err != nil {
		return nil, fmt.Errorf("CPU profile: %w", err)
	}
	nanos := make(map[string]int64)
	for _, sample := range p.Sample {
		nanos[stageOf(sample)] += sample.Value[1]
	}
	return nanos, nil
}

// result is the time of each stage in the last phase that has a profile and was
// kept up with, for each message that was due meanwhile.
// The profile itself is returned too, for those who want to look closer.
func (s *stages) result(r *report.Result, sustained float64) ([]report.Stage, []byte, error) {
	for _, t := range slices.Backward(s.taken) {
		at := slices.IndexFunc(r.Phases, func(p report.Phase) bool { return p.Name == t.phase })
		if at < 0 || t.nanos == nil || sustained > 0 && r.Phases[at].Rate > sustained {
			continue
		}
		p := r.Phases[at]
		messages := p.Rate * t.took.Seconds()
		var all []report.Stage
		for name, n := range t.nanos {
			all = append(all, report.Stage{Name: name, MicrosPerMessage: float64(n) / 1000 / messages})
		}
		client := 0.0
		n := 0.0
		for _, second := range r.Series {
			if second.T > p.From+1 && second.T < p.To-1 {
				client += cores(second.Processes, true)
				n++
			}
		}
		if n > 0 {
			all = append(all, report.Stage{Name: "load generator", MicrosPerMessage: client / n * 1e6 / p.Rate, Note: "its own process: sends, reads and checks"})
		}
		slices.SortFunc(all, func(a, b report.Stage) int { return int(1000 * (b.MicrosPerMessage - a.MicrosPerMessage)) })
		r.Notes = append(r.Notes, fmt.Sprintf("The stages are from a CPU profile of %v at %s.", t.took, t.phase))
		return all, t.raw, nil
	}
	for _, t := range s.taken {
		if t.err != nil {
			return nil, nil, t.err
		}
	}
	return nil, nil, nil
}
