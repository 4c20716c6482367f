package report

import "io"

// SVG writes one picture of a result for a document: throughput and p99 over time. It brings its own background, which follows
// the reader's choice of light or dark, so that it can be read wherever it is shown.
func SVG(w io.Writer, r *Result) error {
	series := thin(r.Series)
	sent := chart{title: "Messages", unit: "a second", end: r.Seconds, bands: r.Phases, lines: []line{
		over(series, "acked", func(s *Second) float64 { return float64(s.Acked) }),
		over(series, "due", func(s *Second) float64 { return float64(s.Due) }),
	}}
	sent.lines[1].dashed = true
	p99 := chart{title: "p99 latency", unit: "ms", end: r.Seconds, bands: r.Phases, log: true, lines: []line{
		over(series, "due → receipt", func(s *Second) float64 { return positive(s.Receipt.P99) }),
		over(series, "due → ack", func(s *Second) float64 { return positive(s.Ack.P99) }),
	}}
	picture := struct {
		Title, Desc   string
		Panels        []panel
		Width, Height float64
	}{Title: r.Title, Width: chartWidth, Height: headHeight}
	for _, d := range draw([]chart{sent, p99}) {
		p := panel{drawing: d, Offset: picture.Height}
		p.Columns = nil // a picture in a document has no pointer over it
		for i, l := range d.Paths {
			p.Keys = append(p.Keys, key{path: l, X: keysLeft + keyWidth*float64(i)})
		}
		picture.Desc += d.Title + ", " + d.Desc + " "
		picture.Panels = append(picture.Panels, p)
		picture.Height += legendHeight + chartHeight
	}
	return execute(w, "picture.svg.tmpl", picture)
}

// panel is a chart of the picture with its legend above it.
type panel struct {
	drawing
	Offset float64
	Keys   []key
}

type key struct {
	path
	X float64
}

const (
	headHeight   = 34
	legendHeight = 22
	keysLeft     = 190
	keyWidth     = 130
)
