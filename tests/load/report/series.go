package report

import (
	"maps"
	"math"
	"slices"
)

// most points that a line has; more cannot be told apart on a screen.
const points = 500

// charts are those of one result that have something to show.
func (r *Result) charts() []drawing {
	series := thin(r.Series)
	functions := names(series, func(s *Second) map[string]float64 { return s.Lag })
	processes := names(series, func(s *Second) map[string]Usage { return s.Processes })
	cores := chart{title: "CPU of every process", unit: "cores", stacked: true}
	memory := chart{title: "Memory of every process", unit: "MiB resident"}
	for _, name := range processes {
		cores.lines = append(cores.lines, over(series, name, usage(name, func(u Usage) float64 { return u.Cores })))
		memory.lines = append(memory.lines, over(series, name, usage(name, func(u Usage) float64 { return mebibytes(u.ResidentBytes) })))
	}
	lag := chart{title: "Consumer lag", unit: "records"}
	for _, name := range functions {
		lag.lines = append(lag.lines, over(series, name, func(s *Second) float64 { return held(s.Lag, name) }))
	}
	sent := chart{title: "Messages", unit: "messages a second", lines: []line{
		over(series, "acked", func(s *Second) float64 { return float64(s.Acked) }),
		over(series, "due", func(s *Second) float64 { return float64(s.Due) }),
	}}
	sent.lines[1].dashed = true
	if slices.ContainsFunc(series, func(s Second) bool { return s.Refused > 0 }) {
		sent.lines = append(sent.lines, over(series, "refused", func(s *Second) float64 { return float64(s.Refused) }))
	}
	all := []chart{
		sent,
		{title: "Deliveries", unit: "copies a second", lines: []line{
			over(series, "received", func(s *Second) float64 { return float64(s.Received) }),
		}},
		{title: "Due → receipt", unit: "ms", log: true, lines: latency(series, func(s *Second) Percentiles { return s.Receipt })},
		{title: "Due → ack", unit: "ms", log: true, lines: latency(series, func(s *Second) Percentiles { return s.Ack })},
	}
	for i := range all {
		all[i].bands, all[i].end = r.Phases, r.Seconds
	}
	all = append(all,
		r.byPercentile("Due → receipt by percentile", func(p *Phase) Latency { return p.Receipt }),
		r.byPercentile("Due → ack by percentile", func(p *Phase) Latency { return p.Ack }),
	)
	for _, c := range []chart{cores, memory, lag} {
		c.bands, c.end = r.Phases, r.Seconds
		all = append(all, c)
	}
	return draw(all)
}

func draw(all []chart) []drawing {
	var drawings []drawing
	for _, c := range all {
		if !c.empty() {
			drawings = append(drawings, c.draw())
		}
	}
	return drawings
}

// over is a figure of each second.
func over(series []Second, name string, value func(*Second) float64) line {
	l := line{name: name, x: make([]float64, len(series)), y: make([]float64, len(series))}
	for i := range series {
		l.x[i], l.y[i] = series[i].T, finite(value(&series[i]))
	}
	return l
}

func latency(series []Second, of func(*Second) Percentiles) []line {
	lines := []line{
		over(series, "p50", func(s *Second) float64 { return positive(of(s).P50) }),
		over(series, "p90", func(s *Second) float64 { return positive(of(s).P90) }),
		over(series, "p99", func(s *Second) float64 { return positive(of(s).P99) }),
		over(series, "max", func(s *Second) float64 { return positive(of(s).Max) }),
	}
	lines[3].dashed = true
	return lines
}

// byPercentile plots the distributions of the measured phases; of those with the highest rates if they are too many to tell apart.
func (r *Result) byPercentile(title string, of func(*Phase) Latency) chart {
	c := chart{title: title, unit: "ms", log: true, byShare: true}
	phases := slices.Collect(r.measured())
	slices.SortStableFunc(phases, func(a, b *Phase) int { return int(b.Rate - a.Rate) })
	for _, p := range phases[:min(len(phases), colors)] {
		c.distribution(p.Name, of(p))
	}
	return c
}

func (c *chart) distribution(name string, of Latency) {
	l := line{name: name}
	for _, q := range of.Distribution {
		// The highest of n values stands for the last nth of the distribution.
		x := nines(min(q.Quantile, 1-1/float64(of.Count+1)))
		if len(l.x) > 0 && x <= l.x[len(l.x)-1] {
			l.x, l.y = l.x[:len(l.x)-1], l.y[:len(l.y)-1]
		}
		l.x, l.y = append(l.x, x), append(l.y, positive(q.Value))
		c.end = max(c.end, x)
	}
	c.lines = append(c.lines, l)
}

// measured are the phases that count; all if none is marked, as in a run that ended early.
func (r *Result) measured() func(yield func(*Phase) bool) {
	all := !slices.ContainsFunc(r.Phases, func(p Phase) bool { return p.Measured })
	return func(yield func(*Phase) bool) {
		for i := range r.Phases {
			if p := &r.Phases[i]; (all || p.Measured) && !yield(p) {
				return
			}
		}
	}
}

// thin joins seconds so that a long run still draws quickly: the mean of what is counted, the worst of latencies, memory and lag.
func thin(series []Second) []Second {
	n := (len(series) + points - 1) / points
	if n <= 1 {
		return series
	}
	var thinned []Second
	for group := range slices.Chunk(series, n) {
		thinned = append(thinned, join(group))
	}
	return thinned
}

func join(group []Second) Second {
	j := Second{Processes: map[string]Usage{}, Lag: map[string]float64{}}
	n := uint64(len(group))
	for _, s := range group {
		j.T, j.Phase, j.Sockets = s.T, s.Phase, s.Sockets
		j.Due, j.Sent, j.Acked, j.Refused, j.Received = j.Due+s.Due, j.Sent+s.Sent, j.Acked+s.Acked, j.Refused+s.Refused, j.Received+s.Received
		j.Ack, j.Receipt = worst(j.Ack, s.Ack), worst(j.Receipt, s.Receipt)
		for name, u := range s.Processes {
			k := j.Processes[name]
			j.Processes[name] = Usage{
				Cores:         k.Cores + u.Cores/float64(n),
				ResidentBytes: max(k.ResidentBytes, u.ResidentBytes),
				Threads:       max(k.Threads, u.Threads),
				FDs:           max(k.FDs, u.FDs),
			}
		}
		for name, lag := range s.Lag {
			j.Lag[name] = max(j.Lag[name], lag)
		}
	}
	j.Due, j.Sent, j.Acked, j.Refused, j.Received = j.Due/n, j.Sent/n, j.Acked/n, j.Refused/n, j.Received/n
	return j
}

func worst(a, b Percentiles) Percentiles {
	return Percentiles{max(a.P50, b.P50), max(a.P90, b.P90), max(a.P99, b.P99), max(a.Max, b.Max)}
}

// names are all keys that occur.
func names[V any](series []Second, of func(*Second) map[string]V) []string {
	all := map[string]bool{}
	for i := range series {
		for name := range of(&series[i]) {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func usage(name string, of func(Usage) float64) func(*Second) float64 {
	return func(s *Second) float64 {
		if u, ok := s.Processes[name]; ok {
			return of(u)
		}
		return math.NaN()
	}
}

func held(m map[string]float64, name string) float64 {
	if v, ok := m[name]; ok {
		return v
	}
	return math.NaN()
}

// finite leaves a gap where a figure is beyond any scale.
func finite(v float64) float64 {
	if math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

// positive leaves a gap where there is nothing that a logarithmic axis could show.
func positive(v float64) float64 {
	if v > 0 {
		return v
	}
	return math.NaN()
}

// load is what a process took in a part of the run.
type load struct {
	Name             string
	Cores, PeakCores float64 // mean and highest
	PeakBytes        uint64
	Threads, FDs     int // highest
}

// loads are those of all processes between two times of the run.
func (r *Result) loads(from, to float64) []load {
	var all []load
	for _, name := range names(r.Series, func(s *Second) map[string]Usage { return s.Processes }) {
		l, n := load{Name: name}, 0.0
		for i := range r.Series {
			s := &r.Series[i]
			u, ok := s.Processes[name]
			if middle := s.T - 0.5; !ok || middle < from || middle >= to {
				continue
			}
			n++
			l.Cores += u.Cores
			l.PeakCores = max(l.PeakCores, u.Cores)
			l.PeakBytes = max(l.PeakBytes, u.ResidentBytes)
			l.Threads, l.FDs = max(l.Threads, u.Threads), max(l.FDs, u.FDs)
		}
		if n > 0 {
			l.Cores /= n
			all = append(all, l)
		}
	}
	return all
}
