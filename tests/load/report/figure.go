package report

import (
	"fmt"
	"math"
	"strconv"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

var english = message.NewPrinter(language.English)

// figure has three significant digits or all digits before the point, in groups.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case v == 0:
		return "0"
	case a < 0.995:
		return english.Sprintf("%.3f", v)
	case a < 9.995:
		return english.Sprintf("%.2f", v)
	case a < 99.95:
		return english.Sprintf("%.1f", v)
	}
	return english.Sprintf("%.0f", v)
}

// count is a number of things.
func count[T int | uint64](n T) string { return english.Sprintf("%d", n) }

// short is a figure for the narrow side of a chart.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 4, 64) + "M"
	case a >= 1e3:
		return strconv.FormatFloat(v/1e3, 'g', 4, 64) + "k"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

const mebibyte = 1 << 20

func mebibytes[T uint64 | float64](n T) float64 { return float64(n) / mebibyte }

// change is how far b is from a, as a share of a; not a number if there is nothing to compare with.
func change(a, b float64) float64 {
	if a == b {
		return 0
	}
	if a == 0 {
		return math.NaN()
	}
	return (b - a) / math.Abs(a)
}

func percent(share float64) string {
	switch {
	case math.IsNaN(share):
		return "–"
	case math.Abs(share) < 0.0005:
		return "0.0 %"
	}
	return fmt.Sprintf("%+.1f %%", 100*share)
}
