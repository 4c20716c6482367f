package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/procfs"

	"knatter.dev/chat/tests/load/report"
)

// meter reads what processes use, from one call to the next.
type meter struct {
	pids map[string]int
	cpu  map[string]float64
	at   time.Time
}

func newMeter(pids map[string]int) *meter {
	m := &meter{pids: make(map[string]int), cpu: make(map[string]float64)}
	maps.Copy(m.pids, pids)
	m.read()
	return m
}

// read returns the usage since the call before. A process that cannot be read is
// left out.
func (m *meter) read() map[string]report.Usage {
	t := time.Now()
	elapsed := t.Sub(m.at).Seconds()
	m.at = t
	usage := make(map[string]report.Usage, len(m.pids))
	for name, pid := range m.pids {
		p, err := procfs.NewProc(pid)
		if err != nil {
			continue
		}
		stat, err := p.Stat()
		if err != nil {
			continue
		}
		fds, _ := p.FileDescriptorsLen()
		cpu := stat.CPUTime()
		usage[name] = report.Usage{Cores: (cpu - m.cpu[name]) / elapsed, ResidentBytes: uint64(stat.ResidentMemory()), Threads: stat.NumThreads, FDs: fds}
		m.cpu[name] = cpu
	}
	return usage
}

const (
	settledFor  = 10 * time.Second
	settleLimit = 90 * time.Second
)

// settled waits until the processes take no more and no less memory than before, as
// a server just started does not, and returns their usage. It gives up after a
// while. Errors: that of ctx.
func (m *meter) settled(ctx context.Context) (map[string]report.Usage, error) {
	begun, since := time.Now(), time.Now()
	usage := m.read()
	for time.Since(since) < settledFor && time.Since(begun) < settleLimit {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
		now := m.read()
		for name, u := range now {
			if before := usage[name].ResidentBytes; max(u.ResidentBytes, before)-min(u.ResidentBytes, before) > before/50 {
				since, usage = time.Now(), now
			}
		}
	}
	return usage, nil
}

// lags are the records that each event function is behind, as those who follow the
// log for them say at their admin addresses. Without any there are none.
func lags(admins []string) (map[string]float64, error) {
	found := make(map[string]float64)
	for _, admin := range admins {
		if err := addLags(found, admin); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return found, nil
}

func addLags(found map[string]float64, admin string) error {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get("http://" + admin + "/metrics")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return err
	}
	for _, m := range families["knatter_function_lag_records"].GetMetric() {
		for _, label := range m.GetLabel() {
			if label.GetName() == "function" {
				found[label.GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	return nil
}
