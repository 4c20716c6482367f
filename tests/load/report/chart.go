package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// chart is a plot of lines or stacked areas over one x axis. Charts are drawn here rather than by a plotting library because
// those write fixed colours and no tooltips: these take their colours from the page, in the light and in the dark, name the
// values under the pointer without a script, and can be read out.
type chart struct {
	title   string
	unit    string
	lines   []line
	bands   []Phase // shaded behind the lines; x is a time
	stacked bool    // all lines have the same x
	log     bool    // y is logarithmic
	byShare bool    // x is the nines of a quantile, not seconds
	end     float64 // of the x axis
}

type line struct {
	name   string
	x, y   []float64 // a y that is not a number is a gap
	dashed bool
}

// drawing is a chart as chart.tmpl needs it, in units of its view box.
type drawing struct {
	Title, Unit, Desc        string
	Left, Top, Width, Height float64 // of the plot
	X, Y                     []tick
	Bands                    []box
	Paths                    []path
	Columns                  []box
}

type path struct {
	Name   string
	D      string
	Color  int
	Dashed bool
	Filled bool
}

type box struct {
	X, Width float64
	Text     string
	Label    bool // wide enough to show the text
	Strong   bool
}

const (
	colors  = 8 // of the style sheet
	columns = 120
)

// Of the view box.
const (
	chartWidth  = 560
	chartHeight = 240
	marginLeft  = 52
	marginRight = 20
	marginTop   = 22
	marginFoot  = 26
)

// empty is true if there is nothing to draw.
func (c *chart) empty() bool {
	for _, l := range c.lines {
		if slices.ContainsFunc(l.y, func(y float64) bool { return !math.IsNaN(y) }) {
			return false
		}
	}
	return true
}

func (c *chart) draw() drawing {
	d := drawing{
		Title: c.title, Unit: c.unit, Left: marginLeft, Top: marginTop,
		Width: chartWidth - marginLeft - marginRight, Height: chartHeight - marginTop - marginFoot,
	}
	bases := make([][]float64, len(c.lines))
	tops := make([][]float64, len(c.lines))
	for i, l := range c.lines {
		tops[i] = l.y
		if !c.stacked {
			continue
		}
		bases[i], tops[i] = make([]float64, len(l.y)), make([]float64, len(l.y))
		for j, y := range l.y {
			if i > 0 {
				bases[i][j] = tops[i-1][j]
			}
			tops[i][j] = bases[i][j] + zeroIfNaN(y)
		}
	}
	x, y := c.axes(tops)
	d.X, d.Y = x.ticks, y.ticks
	for i := range d.X {
		d.X[i].At = round(d.Left + d.X[i].At*d.Width)
	}
	for i := range d.Y {
		d.Y[i].At = round(d.Top + (1-d.Y[i].At)*d.Height)
	}
	px := func(v float64) float64 { return d.Left + clamp(x.place(v))*d.Width }
	py := func(v float64) float64 { return d.Top + (1-clamp(y.place(v)))*d.Height }
	for i, l := range c.lines {
		p := path{Name: l.name, Color: i % colors, Dashed: l.dashed, Filled: c.stacked}
		p.D = trace(l.x, tops[i], px, py)
		if c.stacked && len(l.x) > 0 {
			bx, by := slices.Clone(l.x), bases[i]
			slices.Reverse(bx)
			slices.Reverse(by)
			p.D += "L" + strings.TrimPrefix(trace(bx, by, px, py), "M") + "Z"
		}
		d.Paths = append(d.Paths, p)
	}
	for _, p := range c.bands {
		left, right := px(p.From), px(p.To)
		d.Bands = append(d.Bands, box{
			X: round(left), Width: round(right - left), Text: p.Name, Strong: p.Measured,
			Label: right-left > 7*float64(len(p.Name)),
		})
	}
	d.Columns = c.columns(d, px)
	d.Desc = c.describe()
	return d
}

func (c *chart) axes(tops [][]float64) (x, y axis) {
	low, high := math.Inf(1), 0.0
	for _, ys := range tops {
		for _, v := range ys {
			if !math.IsNaN(v) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if c.byShare {
		x = percentileAxis(c.end)
	} else {
		x = timeAxis(c.end)
	}
	if c.log && high > 0 {
		return x, logAxis(low, high, short)
	}
	return x, linearAxis(high, short)
}

// columns are strips across the plot, each with what the lines are at there.
func (c *chart) columns(d drawing, px func(float64) float64) []box {
	width := d.Width / columns
	texts := make([]strings.Builder, columns)
	for _, l := range c.lines {
		last := -1
		for j, x := range l.x {
			i := min(int((px(x)-d.Left)/width), columns-1)
			if i == last || math.IsNaN(l.y[j]) {
				continue
			}
			last = i
			if texts[i].Len() == 0 && c.byShare {
				texts[i].WriteString(percentile(x) + " %")
			} else if texts[i].Len() == 0 {
				texts[i].WriteString(clock(x))
			}
			fmt.Fprintf(&texts[i], "\n%s: %s %s", l.name, figure(l.y[j]), c.unit)
		}
	}
	// A strip without points of its own belongs to the one before it.
	var boxes []box
	for i := range texts {
		switch {
		case texts[i].Len() > 0:
			boxes = append(boxes, box{X: round(d.Left + float64(i)*width), Width: round(width), Text: texts[i].String()})
		case len(boxes) > 0:
			boxes[len(boxes)-1].Width = round(d.Left + float64(i+1)*width - boxes[len(boxes)-1].X)
		}
	}
	return boxes
}

// describe says in words what the chart shows, for those who do not see it.
func (c *chart) describe() string {
	over := "time"
	if c.byShare {
		over = "percentile"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s over %s.", c.unit, over)
	for _, l := range c.lines {
		var sum, count, high float64
		for _, y := range l.y {
			if !math.IsNaN(y) {
				sum, count, high = sum+y, count+1, max(high, y)
			}
		}
		if count > 0 {
			fmt.Fprintf(&b, " %s: mean %s, highest %s.", l.name, figure(sum/count), figure(high))
		}
	}
	return b.String()
}

// trace is the path of a line; a gap lifts the pen.
func trace(xs, ys []float64, px, py func(float64) float64) string {
	var b strings.Builder
	pen := "M"
	for i, x := range xs {
		if math.IsNaN(ys[i]) {
			pen = "M"
			continue
		}
		fmt.Fprintf(&b, "%s%g %g", pen, round(px(x)), round(py(ys[i])))
		pen = "L"
	}
	return b.String()
}

// round keeps coordinates short: a tenth of a unit is less than a pixel.
func round(v float64) float64 { return math.Round(v*10) / 10 }

func clamp(v float64) float64 { return min(max(v, 0), 1) }

func zeroIfNaN(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}
