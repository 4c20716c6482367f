package report

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"time"
)

//go:embed templates
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"figure":  figure,
	"count":   count[uint64],
	"number":  count[int],
	"mib":     func(n uint64) string { return figure(mebibytes(n)) },
	"clock":   clock,
	"date":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"perSec":  perSecond,
	"ratio":   func(a, b float64) float64 { return a / max(b, 1e-9) },
	"times":   func(a, b float64) float64 { return round(a * b) },
	"add":     func(a, b float64) float64 { return round(a + b) },
	"sub":     func(a, b float64) float64 { return round(a - b) },
	"latency": func(l Latency) any { return latencyCells(l) },
}).ParseFS(files, "templates/*.tmpl"))

// HTML writes a result as one page that needs nothing else: no script, no network.
func HTML(w io.Writer, r *Result) error {
	page := struct {
		*Result
		Tiles   []tile
		Charts  []drawing
		Loads   []load
		Checked []check
		Others  bool // any phase has some
		Facts   []fact
		Floors  bool    // any stage has one
		Longest float64 // of the stages, µs
		Stage   float64 // sum of the stages, µs
	}{Result: r, Tiles: r.tiles(), Charts: r.charts(), Loads: r.loads(0, r.Seconds+1), Checked: r.Checks.list(), Facts: r.facts()}
	for _, p := range r.Phases {
		page.Others = page.Others || len(p.Others) > 0
	}
	for _, s := range r.Stages {
		page.Longest = max(page.Longest, s.MicrosPerMessage, s.FloorMicros)
		page.Stage += s.MicrosPerMessage
		page.Floors = page.Floors || s.FloorMicros > 0
	}
	return execute(w, "result.html.tmpl", page)
}

func execute(w io.Writer, name string, data any) error {
	if err := templates.ExecuteTemplate(w, name, data); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// tile is a figure at the top of the page.
type tile struct {
	Name, Value, Unit string
	Bad               bool
}

func (r *Result) tiles() []tile {
	var acked, received uint64
	var p99, highest, rate float64
	for p := range r.measured() {
		acked, received = acked+p.Acked, received+p.Received
		p99, highest = max(p99, p.Receipt.P99), max(highest, p.Receipt.Max)
		rate = max(rate, perSecond(p, p.Acked))
	}
	return []tile{
		{Name: "Messages acked", Value: count(acked)},
		{Name: "Copies delivered", Value: count(received)},
		{Name: "Highest rate of a phase", Value: figure(rate), Unit: "messages/s"},
		{Name: "Worst p99 due → receipt", Value: figure(p99), Unit: "ms"},
		{Name: "Longest due → receipt", Value: figure(highest), Unit: "ms"},
		{Name: "Lost, doubled or disordered", Value: count(r.Checks.wrong()), Bad: r.Checks.wrong() > 0},
	}
}

// perSecond is a count of a phase as a rate.
func perSecond(p *Phase, n uint64) float64 {
	if p.To <= p.From {
		return 0
	}
	return float64(n) / (p.To - p.From)
}

// wrong is how often a receiver got something other than every message once and in order.
func (c *Checks) wrong() uint64 {
	return c.Lost + c.Doubled + c.Disordered + c.Unexpected + c.Differing
}

// check is one line of the checks.
type check struct {
	Name, Meaning string
	Count         uint64
}

// list is all checks in words.
func (c *Checks) list() []check {
	return []check{
		{"Lost", "confirmed, but a recipient never got it", c.Lost},
		{"Doubled", "delivered more than once to one socket", c.Doubled},
		{"Disordered", "delivered after a later message of the room", c.Disordered},
		{"Unexpected", "delivered, but never sent or not for this recipient", c.Unexpected},
		{"Refused", "answered with an error", c.Refused},
		{"Unacked", "sent, but never answered", c.Unacked},
		{"Disconnects", "sockets that closed unasked", c.Disconnects},
		{"Differing", "receivers who know other things of their room at the end than a fresh load shows", c.Differing},
	}
}

type fact struct{ Name, Value string }

func (r *Result) facts() []fact {
	facts := []fact{
		{"Profile", r.Profile},
		{"Started", r.Started.UTC().Format("2006-01-02 15:04:05 UTC")},
		{"Length", clock(r.Seconds)},
		{"Command", r.Command},
		{"Users", count(r.Users)},
		{"Rooms", count(r.Rooms)},
		{"Text", count(r.TextBytes) + " bytes"},
		{"Processors", fmt.Sprintf("%d × %s", r.Machine.CPUs, r.Machine.CPUModel)},
		{"Memory", figure(mebibytes(r.Machine.MemoryBytes)) + " MiB"},
		{"Kernel", r.Machine.Kernel},
		{"Go", r.Machine.GoVersion},
		{"Revision", r.Machine.Revision},
	}
	for _, name := range slices.Sorted(maps.Keys(r.Settings)) {
		facts = append(facts, fact{name, r.Settings[name]})
	}
	return facts
}

// latencyCells are the columns of a latency in a table.
func latencyCells(l Latency) []string {
	if l.Count == 0 {
		return []string{"–", "–", "–", "–"}
	}
	return []string{figure(l.P50), figure(l.P99), figure(l.P999), figure(l.Max)}
}
