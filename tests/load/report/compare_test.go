package report

import (
	"math"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	var b strings.Builder
	if err := Compare(&b, sample(1), sample(0.8)); err != nil {
		t.Fatal(err)
	}
	golden(t, "compare.txt", b.String())
}

func TestFigures(t *testing.T) {
	for name, test := range map[string]struct {
		a, b            float64
		good            int
		change, verdict string
	}{
		"less latency":         {200, 100, -1, "-50.0 %", "better"},
		"more latency":         {100, 250, -1, "+150.0 %", "worse"},
		"more throughput":      {4000, 5000, 1, "+25.0 %", "better"},
		"less throughput":      {5000, 4000, 1, "-20.0 %", "worse"},
		"noise":                {100, 102.9, -1, "+2.9 %", ""},
		"the same":             {7, 7, 1, "0.0 %", ""},
		"nothing":              {0, 0, 1, "0.0 %", ""},
		"to nothing":           {5, 0, -1, "-100.0 %", "better"},
		"from nothing":         {0, 5, -1, "–", "worse"},
		"neither good nor bad": {1, 2, 0, "+100.0 %", ""},
		"only the first":       {1, math.NaN(), -1, "–", ""},
		"only the second":      {math.NaN(), 1, -1, "–", ""},
	} {
		if r := figures("x", test.a, test.b, test.good); r.Change != test.change || r.Verdict != test.verdict {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// Phases are found by name and turn, also when one run has more of them.
func TestPairs(t *testing.T) {
	a := &Result{Phases: []Phase{{Name: "idle"}, {Name: "burst", Rate: 1}, {Name: "burst", Rate: 2}, {Name: "end"}}}
	b := &Result{Phases: []Phase{{Name: "burst", Rate: 3}, {Name: "burst", Rate: 4}, {Name: "burst", Rate: 5}}}
	var got []string
	for _, p := range pairs(a, b) {
		s := p.name
		if p.a != nil {
			s += " " + figure(p.a.Rate)
		}
		s += "|"
		if p.b != nil {
			s += figure(p.b.Rate)
		}
		got = append(got, s)
	}
	want := "idle 0|, burst 1.00|3.00, burst 2.00|4.00, end 0|, burst|5.00"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %q", got)
	}
}

func TestChecksHaveNoTolerance(t *testing.T) {
	a, b := &Result{Checks: Checks{Unacked: 1000}}, &Result{Checks: Checks{Unacked: 1001}}
	for _, r := range checks(a, b).Rows {
		if want := map[bool]string{true: "worse"}[r.Name == "Unacked"]; r.Verdict != want {
			t.Errorf("%+v", r)
		}
	}
}

func TestLoadsOfAPhase(t *testing.T) {
	r := &Result{}
	for i := range 10 {
		r.Series = append(r.Series, Second{T: float64(i + 1), Processes: map[string]Usage{"p": {Cores: float64(i), ResidentBytes: uint64(100 - i)}}})
	}
	r.Series[9].Processes["late"] = Usage{Cores: 1}
	got := r.loads(2, 5) // the seconds that end at 3, 4 and 5
	if len(got) != 1 || got[0].Cores != 3 || got[0].PeakCores != 4 || got[0].PeakBytes != 98 {
		t.Errorf("%+v", got)
	}
}

func TestSettingsThatDiffer(t *testing.T) {
	a := &Result{Command: "same", Settings: map[string]string{"GOGC": "100", "only a": "1", "both": "2"}}
	b := &Result{Command: "same", Settings: map[string]string{"GOGC": "200", "only b": "3", "both": "2"}}
	var got []string
	for _, r := range settings(a, b).Rows {
		got = append(got, r.Name+"="+r.A+"/"+r.B)
	}
	if strings.Join(got, " ") != "GOGC=100/200 only a=1/ only b=/3" {
		t.Errorf("got %q", got)
	}
}
