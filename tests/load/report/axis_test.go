package report

import (
	"math"
	"strings"
	"testing"
)

func labels(a axis) string {
	var all []string
	for _, t := range a.ticks {
		if t.At < -1e-9 || t.At > 1+1e-9 {
			return "out of range"
		}
		all = append(all, t.Label)
	}
	return strings.Join(all, " ")
}

func TestAxes(t *testing.T) {
	for name, test := range map[string]struct {
		axis axis
		want string
	}{
		"nothing":     {linearAxis(0, short), "0 0.5 1"},
		"rate":        {linearAxis(5012, short), "0 2k 4k 6k"},
		"cores":       {linearAxis(1.73, short), "0 0.5 1 1.5 2"},
		"deliveries":  {linearAxis(1e6, short), "0 500k 1M"},
		"one decade":  {logAxis(3, 18, short), "2 5 10 20"},
		"decades":     {logAxis(0.8, 730, short), "1 10 100 1k"},
		"one value":   {logAxis(5, 5, short), "5 10 20 50"},
		"a minute":    {timeAxis(60), "0:00 0:10 0:20 0:30 0:40 0:50 1:00"},
		"two hours":   {timeAxis(7200), "0:00 30:00 1:00:00 1:30:00 2:00:00"},
		"no time":     {timeAxis(0), "0:00 0:01"},
		"percentiles": {percentileAxis(5), "0 50 90 99 99.9 99.99 99.999"},
	} {
		if got := labels(test.axis); got != test.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.1234: "0.123", 0.9999: "1.00", 1.234: "1.23", 9.999: "10.0", 56.78: "56.8", 99.96: "100", 1234.5: "1,234", -2: "-2.00", 5e6: "5,000,000",
	} {
		if got := figure(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	if got := figure(math.NaN()); got != "–" {
		t.Errorf("not a number: %s", got)
	}
}
