package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// noise is how much a figure may change without meaning anything.
const noise = 0.03

// comparison is two results side by side.
type comparison struct {
	A, B   *Result
	Groups []group
	Charts []drawing
}

type group struct {
	Name string
	Rows []row
}

// row is one figure of both.
type row struct {
	Name, A, B, Change string
	Verdict            string // better, worse, or nothing
}

// Compare writes how b differs from a, as a table for a terminal.
func Compare(w io.Writer, a, b *Result) error {
	c := compare(a, b)
	p := &printer{w: w}
	p.line("A  %s", a.Headline())
	p.line("B  %s", b.Headline())
	for _, g := range c.Groups {
		p.line("\n%-30s %14s %14s %10s", g.Name, "A", "B", "change")
		for _, r := range g.Rows {
			p.line("  %-28s %14s %14s %10s  %s", r.Name, r.A, r.B, r.Change, r.Verdict)
		}
	}
	return p.err
}

// CompareHTML writes how b differs from a, as one page that needs nothing else.
func CompareHTML(w io.Writer, a, b *Result) error {
	c := compare(a, b)
	c.draw()
	return execute(w, "compare.html.tmpl", c)
}

// Headline is what tells a result from another one.
func (r *Result) Headline() string {
	s := fmt.Sprintf("%s, %s", r.Title, r.Started.UTC().Format("2006-01-02 15:04:05 UTC"))
	if r.Machine.Revision != "" {
		s += ", " + r.Machine.Revision
	}
	if r.Interrupted {
		s += ", interrupted"
	}
	return s
}

func compare(a, b *Result) *comparison {
	c := &comparison{A: a, B: b}
	for _, p := range pairs(a, b) {
		if p.measured() {
			c.Groups = append(c.Groups, p.rows(a, b))
		}
	}
	c.Groups = append(c.Groups, checks(a, b))
	if g := stages(a, b); len(g.Rows) > 0 {
		c.Groups = append(c.Groups, g)
	}
	if g := settings(a, b); len(g.Rows) > 0 {
		c.Groups = append(c.Groups, g)
	}
	return c
}

// pair is the same phase of both results; one of them may not have it.
type pair struct {
	name string
	a, b *Phase
}

func (p pair) measured() bool { return p.a != nil && p.a.Measured || p.b != nil && p.b.Measured }

// pairs joins phases of the same name, the second of that name with the second, in the order in which they ran.
func pairs(a, b *Result) []pair {
	type key struct {
		name string
		n    int
	}
	var all []pair
	place, seen := map[key]int{}, map[string]int{}
	for i := range a.Phases {
		p := &a.Phases[i]
		place[key{p.Name, seen[p.Name]}] = len(all)
		seen[p.Name]++
		all = append(all, pair{name: p.Name, a: p})
	}
	clear(seen)
	for i := range b.Phases {
		p := &b.Phases[i]
		at, ok := place[key{p.Name, seen[p.Name]}]
		seen[p.Name]++
		if !ok {
			all = append(all, pair{name: p.Name, b: p})
			continue
		}
		all[at].b = p
	}
	return all
}

// rows of a phase; what neither of them has is left out.
func (p pair) rows(a, b *Result) group {
	g := group{Name: p.name}
	of := func(value func(*Phase) float64) (float64, float64) {
		get := func(p *Phase) float64 {
			if p == nil {
				return math.NaN()
			}
			return value(p)
		}
		return get(p.a), get(p.b)
	}
	latency := func(l Latency, value float64) float64 {
		if l.Count == 0 {
			return math.NaN()
		}
		return value
	}
	for _, f := range []struct {
		name  string
		good  int // 1: more is better, -1: less is, 0: neither
		value func(*Phase) float64
	}{
		{"due a second", 0, func(p *Phase) float64 { return p.Rate }},
		{"acked a second", 1, func(p *Phase) float64 { return perSecond(p, p.Acked) }},
		{"received a second", 1, func(p *Phase) float64 { return perSecond(p, p.Received) }},
		{"receipt p50 ms", -1, func(p *Phase) float64 { return latency(p.Receipt, p.Receipt.P50) }},
		{"receipt p99 ms", -1, func(p *Phase) float64 { return latency(p.Receipt, p.Receipt.P99) }},
		{"receipt max ms", -1, func(p *Phase) float64 { return latency(p.Receipt, p.Receipt.Max) }},
		{"ack p50 ms", -1, func(p *Phase) float64 { return latency(p.Ack, p.Ack.P50) }},
		{"ack p99 ms", -1, func(p *Phase) float64 { return latency(p.Ack, p.Ack.P99) }},
		{"ack max ms", -1, func(p *Phase) float64 { return latency(p.Ack, p.Ack.Max) }},
		{"lag gone after s", -1, func(p *Phase) float64 { return p.LagDrainSeconds }},
	} {
		if x, y := of(f.value); !math.IsNaN(x) || !math.IsNaN(y) {
			g.Rows = append(g.Rows, figures(f.name, x, y, f.good))
		}
	}
	la, lb := p.loads(a, b)
	all := maps.Clone(la)
	maps.Copy(all, lb)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		g.Rows = append(g.Rows,
			figures(name+" cores", value(la, name, func(l load) float64 { return l.Cores }), value(lb, name, func(l load) float64 { return l.Cores }), -1),
			figures(name+" MiB", value(la, name, func(l load) float64 { return mebibytes(l.PeakBytes) }),
				value(lb, name, func(l load) float64 { return mebibytes(l.PeakBytes) }), -1))
	}
	return g
}

func (p pair) loads(a, b *Result) (la, lb map[string]load) {
	of := func(r *Result, p *Phase) map[string]load {
		m := map[string]load{}
		if p != nil {
			for _, l := range r.loads(p.From, p.To) {
				m[l.Name] = l
			}
		}
		return m
	}
	return of(a, p.a), of(b, p.b)
}

func value(m map[string]load, name string, of func(load) float64) float64 {
	if l, ok := m[name]; ok {
		return of(l)
	}
	return math.NaN()
}

// figures is the row of two figures.
func figures(name string, a, b float64, good int) row {
	r := row{Name: name, A: figure(a), B: figure(b), Change: "–"}
	if math.IsNaN(a) || math.IsNaN(b) {
		return r
	}
	share := change(a, b)
	r.Change = percent(share)
	if math.IsNaN(share) { // from nothing to something
		share = math.Inf(1)
	}
	switch d := share * float64(good); {
	case good == 0: // neither
	case d > noise:
		r.Verdict = "better"
	case d < -noise:
		r.Verdict = "worse"
	}
	return r
}

// checks are compared without tolerance: one message lost is one too many.
func checks(a, b *Result) group {
	g := group{Name: "checks"}
	of := b.Checks.list()
	for i, c := range a.Checks.list() {
		r := row{Name: c.Name, A: count(c.Count), B: count(of[i].Count), Change: percent(change(float64(c.Count), float64(of[i].Count)))}
		switch {
		case of[i].Count < c.Count:
			r.Verdict = "better"
		case of[i].Count > c.Count:
			r.Verdict = "worse"
		}
		g.Rows = append(g.Rows, r)
	}
	return g
}

func stages(a, b *Result) group {
	g := group{Name: "CPU µs for a message"}
	of := map[string]float64{}
	for _, s := range b.Stages {
		of[s.Name] = s.MicrosPerMessage
	}
	for _, s := range a.Stages {
		y, ok := of[s.Name]
		delete(of, s.Name)
		if !ok {
			y = math.NaN()
		}
		g.Rows = append(g.Rows, figures(s.Name, s.MicrosPerMessage, y, -1))
	}
	for _, s := range b.Stages {
		if y, ok := of[s.Name]; ok {
			g.Rows = append(g.Rows, figures(s.Name, math.NaN(), y, -1))
		}
	}
	return g
}

// settings are those that differ: two results can only be compared if they explain the difference.
func settings(a, b *Result) group {
	g := group{Name: "what else differs"}
	of := func(facts []fact) map[string]string {
		m := map[string]string{}
		for _, f := range facts {
			m[f.Name] = f.Value
		}
		return m
	}
	fa, fb := a.facts(), b.facts()
	ma, mb := of(fa), of(fb)
	for i, f := range append(fa, fb...) {
		_, both := ma[f.Name]
		if f.Name == "Started" || ma[f.Name] == mb[f.Name] || i >= len(fa) && both {
			continue
		}
		g.Rows = append(g.Rows, row{Name: f.Name, A: ma[f.Name], B: mb[f.Name]})
	}
	return g
}

func (c *comparison) draw() {
	a, b := thin(c.A.Series), thin(c.B.Series)
	both := func(title, unit string, log bool, value func(*Second) float64) chart {
		return chart{
			title: title, unit: unit, log: log, end: max(c.A.Seconds, c.B.Seconds), bands: c.A.Phases,
			lines: []line{over(a, "A", value), over(b, "B", value)},
		}
	}
	all := []chart{
		both("Messages acked", "messages a second", false, func(s *Second) float64 { return float64(s.Acked) }),
		both("Deliveries", "copies a second", false, func(s *Second) float64 { return float64(s.Received) }),
		both("p99 due → receipt", "ms", true, func(s *Second) float64 { return positive(s.Receipt.P99) }),
		both("p99 due → ack", "ms", true, func(s *Second) float64 { return positive(s.Ack.P99) }),
		both("CPU of all processes", "cores", false, func(s *Second) float64 {
			return sum(s.Processes, func(u Usage) float64 { return u.Cores })
		}),
		both("Memory of all processes", "MiB resident", false, func(s *Second) float64 {
			return sum(s.Processes, func(u Usage) float64 { return mebibytes(u.ResidentBytes) })
		}),
	}
	if fastest := c.fastest(); fastest != nil {
		byShare := chart{title: "Due → receipt by percentile in " + fastest.name, unit: "ms", log: true, byShare: true}
		byShare.distribution("A", fastest.a.Receipt)
		byShare.distribution("B", fastest.b.Receipt)
		all = slices.Insert(all, 4, byShare)
	}
	c.Charts = draw(all)
}

// fastest is the phase with the highest rate of those that both results measured.
func (c *comparison) fastest() *pair {
	var best *pair
	for _, p := range pairs(c.A, c.B) {
		if p.a != nil && p.b != nil && p.a.Measured && p.b.Measured && (best == nil || p.a.Rate > best.a.Rate) {
			best = &p
		}
	}
	return best
}

func sum(processes map[string]Usage, of func(Usage) float64) float64 {
	if len(processes) == 0 {
		return math.NaN()
	}
	var s float64
	for _, u := range processes {
		s += of(u)
	}
	return s
}

// printer writes lines until one fails.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}
