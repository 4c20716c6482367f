package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// axis maps values to a place between 0 and 1 and marks some of them.
type axis struct {
	place func(float64) float64
	ticks []tick
}

type tick struct {
	At    float64 // 0 to 1
	Label string
}

// mark sets the ticks.
func (a axis) mark(values []float64, label func(float64) string) axis {
	for _, v := range values {
		a.ticks = append(a.ticks, tick{a.place(v), label(v)})
	}
	return a
}

func linear(low, high float64) axis {
	if high <= low {
		high = low + 1
	}
	return axis{place: func(v float64) float64 { return (v - low) / (high - low) }}
}

// linearAxis goes from zero past high to a round number.
func linearAxis(high float64, label func(float64) string) axis {
	if high <= 0 {
		high = 1
	}
	step := round125(high / 4)
	n := math.Ceil(high/step - 1e-9)
	var values []float64
	for i := range int(n) + 1 {
		values = append(values, float64(i)*step)
	}
	return linear(0, n*step).mark(values, label)
}

// logAxis covers low to high, both above zero, between round numbers.
func logAxis(low, high float64, label func(float64) string) axis {
	low, high = math.Log10(below125(low)), math.Log10(round125(high))
	if high-low < 0.9 {
		high = low + 1
	}
	inner := linear(low, high)
	a := axis{place: func(v float64) float64 { return inner.place(math.Log10(v)) }}
	steps := []float64{1, 2, 5}
	if high-low > 2.1 {
		steps = steps[:1]
	}
	var values []float64
	for decade := math.Floor(low); decade <= high; decade++ {
		for _, s := range steps {
			v := s * math.Pow(10, decade)
			if l := math.Log10(v); l > low-1e-9 && l < high+1e-9 {
				values = append(values, v)
			}
		}
	}
	return a.mark(values, label)
}

// timeAxis covers seconds of a run.
func timeAxis(seconds float64) axis {
	if seconds <= 0 {
		seconds = 1
	}
	steps := []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600}
	i := slices.IndexFunc(steps, func(s float64) bool { return seconds/s <= 7 })
	step := math.Ceil(seconds/7/3600) * 3600
	if i >= 0 {
		step = steps[i]
	}
	var values []float64
	for i := range int(seconds/step) + 1 {
		values = append(values, float64(i)*step)
	}
	return linear(0, seconds).mark(values, clock)
}

// percentileAxis gives every further nine the same room, as HdrHistogram's plots do. Its values are those of nines; what is
// beyond six of them is drawn at its end.
func percentileAxis(high float64) axis {
	high = min(max(high, 1), 6)
	values := []float64{0, nines(0.5)}
	for n := 1.0; n <= high+1e-9; n++ {
		values = append(values, n)
	}
	return linear(0, high).mark(values, percentile)
}

func nines(quantile float64) float64 { return -math.Log10(1 - quantile) }

func percentile(nines float64) string {
	decimals := max(int(math.Ceil(nines-1e-9))-2, 0)
	return strconv.FormatFloat(100*(1-math.Pow(10, -nines)), 'f', decimals, 64)
}

func clock(seconds float64) string {
	s := int(math.Round(seconds))
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// round125 is the lowest of …, 1, 2, 5, 10, 20, … that is not below v; below125 the highest that is not above it.
func round125(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, s := range []float64{1, 2, 5} {
		if v <= s*decade*(1+1e-9) {
			return s * decade
		}
	}
	return 10 * decade
}

func below125(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, s := range []float64{5, 2} {
		if v >= s*decade*(1-1e-9) {
			return s * decade
		}
	}
	return decade
}
