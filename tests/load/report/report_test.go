package report

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	update = flag.Bool("update", false, "write the goldens anew")
	show   = flag.String("show", "", "a folder to write the pages to, to look at them")
)

// sample is a run as the seed profile makes them: steps, then a long steady phase with one stall.
// A slower run is what a slower build of the server would give.
func sample(slower float64) *Result {
	rnd := rand.New(rand.NewPCG(1, 2))
	r := &Result{
		Profile: "seed", Title: "seed: 5,000 users, 5,000 messages/s", Started: time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC),
		Command: "make load PROFILE=seed", Users: 5000, Rooms: 500, TextBytes: 80,
		Machine: Machine{CPUs: 2, CPUModel: "Some CPU @ 2.80GHz", MemoryBytes: 24 << 30, Kernel: "6.1.0", GoVersion: "go1.26.8",
			Revision: fmt.Sprintf("abcdef%.0f", 10*slower)},
		Settings: map[string]string{"sources": "1", "workers": "2", "GOGC": fmt.Sprint(100 * slower)},
		Targets: []Target{
			{"p99 due → receipt", "≤ 250 ms", "38.2 ms", true},
			{"longest due → receipt", "≤ 1,000 ms", "1,204 ms", false},
		},
		Stages: []Stage{
			{"read", 21 * slower, 8, "frame, UTF-8, schema"},
			{"log", 30, 12, "acks=all"},
			{"persist", 22, 9.5, ""},
			{"analysis", 41 * slower, 30, "morphemes, of the dictionary in the program"},
			{"write", 92, 80, "10 sockets, one system call each"},
		},
		Notes: []string{"One stall of 900 ms at 4:10 when the store compacted."},
	}
	at := 0.0
	phase := func(name string, length, rate float64, measured bool) {
		p := Phase{Name: name, Measured: measured, From: at, To: at + length, Rate: rate, Due: uint64(length * rate)}
		p.Sent, p.Acked, p.Received, p.Expected = p.Due, p.Due, p.Due*10, p.Due*10
		if rate > 0 {
			p.Ack, p.Receipt = spread(rnd, p.Acked, 2*slower*(1+rate/2500)), spread(rnd, p.Received, 4*slower*(1+rate/2500))
			p.LagDrainSeconds = 0.4 * slower
		}
		for range int(length) {
			at++
			n := uint64(rate * (0.97 + 0.06*rnd.Float64()))
			s := Second{T: at, Phase: name, Due: uint64(rate), Sent: n, Acked: n, Received: n * 10, Sockets: 5000,
				Processes: map[string]Usage{
					"server":    {Cores: slower * (0.05 + rate/5000*(1+0.2*rnd.Float64())), ResidentBytes: 400<<20 + uint64(at)<<20, Threads: 14, FDs: 5100},
					"generator": {Cores: 0.02 + rate/8000, ResidentBytes: 180 << 20, Threads: 9, FDs: 2600},
					"worker 2":  {Cores: 0.02 + rate/8000, ResidentBytes: 182 << 20, Threads: 9, FDs: 2600},
				},
				Lag: map[string]float64{"persist": rate / 50 * rnd.Float64(), "index": rate / 20 * rnd.Float64(), "fanout": rate / 500 * rnd.Float64()},
			}
			if n > 0 {
				base := slower * (1 + rate/2500) * (0.9 + 0.3*rnd.Float64())
				s.Ack, s.Receipt = Percentiles{base, base * 3, base * 8, base * 20}, Percentiles{base * 2, base * 5, base * 14, base * 40}
			}
			if at == 250 {
				s.Receipt.Max, s.Receipt.P99, s.Lag["index"] = 1204, 730, 9000
			}
			r.Series = append(r.Series, s)
		}
		r.Phases = append(r.Phases, p)
	}
	phase("connect", 15, 0, false)
	for _, rate := range []float64{100, 500, 1000, 2000} {
		phase(fmt.Sprintf("%.0f/s", rate), 20, rate, true)
	}
	phase("5000/s", 300, 5000, true)
	r.Phases[len(r.Phases)-1].Others = []Other{
		{Name: "reactions", Sent: 450_000, Acked: 449_998, Overtaken: 2, Received: 4_499_980, Expected: 4_499_980, Ack: spread(rnd, 449_998, 9*slower), Receipt: spread(rnd, 4_499_980, 12*slower)},
		{Name: "typing", Sent: 1_500_000, Received: 9_000_000, Expected: 13_500_000, Receipt: spread(rnd, 9_000_000, 5*slower)},
	}
	phase("drain", 5, 0, false)
	r.Seconds = at
	return r
}

func spread(rnd *rand.Rand, n uint64, median float64) Latency {
	l := Latency{Count: n, Min: median / 5, Mean: median * 1.2, P50: median}
	for q := 0.0; q < math.Log10(float64(n)); q += 0.25 {
		l.Distribution = append(l.Distribution, Quantile{1 - math.Pow(10, -q), median * (0.3 + math.Pow(q, 2.2) + rnd.Float64()*0.1)})
	}
	l.P90, l.P99, l.P999 = l.Distribution[4].Value, l.Distribution[8].Value, l.Distribution[min(12, len(l.Distribution)-1)].Value
	l.Max = l.Distribution[len(l.Distribution)-1].Value * 1.2
	l.Distribution = append(l.Distribution, Quantile{1, l.Max})
	return l
}

// interrupted is a run that somebody stopped while it connected.
func interrupted() *Result {
	r := sample(1)
	r.Interrupted, r.Seconds = true, 12
	r.Series, r.Phases, r.Targets, r.Stages = r.Series[:12], r.Phases[:1], nil, nil
	return r
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "result.json")
	for name, r := range map[string]*Result{"full": sample(1), "interrupted": interrupted(), "empty": {}} {
		for range 2 { // the second time over the first
			if err := r.Write(path); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Read(path)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, r)
		}
	}
	if all, _ := os.ReadDir(filepath.Dir(path)); len(all) != 1 {
		t.Errorf("left behind: %v", all)
	}
}

func TestReadAndWriteFail(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(filepath.Join(dir, "none")); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("no file: %v", err)
	}
	path := filepath.Join(dir, "half")
	if err := os.WriteFile(path, []byte(`{"profile":"se`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("half a file: %v", err)
	}
	bad := &Result{Seconds: math.NaN()}
	if err := bad.Write(path); err == nil {
		t.Error("wrote what is not a number")
	}
	if data, _ := os.ReadFile(path); string(data) != `{"profile":"se` {
		t.Errorf("a failed write changed the file: %s", data)
	}
	if err := sample(1).Write(filepath.Join(dir, "none", "x")); err == nil {
		t.Error("wrote into no folder")
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		if _, ok := err.(*os.PathError); ok {
			return err
		}
		err = u.Unwrap()
	}
}

// pages are all pages that can be made of a result.
func pages(r *Result) map[string]func(io.Writer) error {
	return map[string]func(io.Writer) error{
		"result.html":  func(w io.Writer) error { return HTML(w, r) },
		"compare.html": func(w io.Writer) error { return CompareHTML(w, r, sample(1.2)) },
		"picture.svg":  func(w io.Writer) error { return SVG(w, r) },
		"compare.txt":  func(w io.Writer) error { return Compare(w, r, sample(1.2)) },
		"summary.txt":  func(w io.Writer) error { Summary(w, r); return nil },
	}
}

func TestPagesOfEveryKindOfResult(t *testing.T) {
	odd := sample(1)
	odd.Series[100].Ack.P99, odd.Series[100].Lag["persist"] = math.NaN(), math.Inf(1)
	odd.Series[101].Processes = nil
	odd.Phases[2].To = odd.Phases[2].From
	long := sample(1)
	for len(long.Series) < 7200 {
		s := long.Series[len(long.Series)-10]
		s.T = float64(len(long.Series) + 1)
		long.Series = append(long.Series, s)
	}
	long.Seconds = 7200
	for name, r := range map[string]*Result{
		"full": sample(1), "interrupted": interrupted(), "empty": {}, "odd": odd, "long": long,
		"one second": {Seconds: 1, Series: []Second{{T: 1, Acked: 1, Receipt: Percentiles{1, 1, 1, 1}}}},
	} {
		for page, write := range pages(r) {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Errorf("%s of %s: %v", page, name, err)
			}
			if bytes.Contains(b.Bytes(), []byte("NaN")) || bytes.Contains(b.Bytes(), []byte("Inf")) || bytes.Contains(b.Bytes(), []byte("ZgotmplZ")) {
				t.Errorf("%s of %s has a value that is none", page, name)
			}
			if b.Len() > 2<<20 {
				t.Errorf("%s of %s: %d bytes", page, name, b.Len())
			}
			if page == "picture.svg" {
				wellFormed(t, name, b.Bytes())
			}
			if *show != "" {
				if err := os.WriteFile(filepath.Join(*show, strings.ReplaceAll(name, " ", "-")+"-"+page), b.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func wellFormed(t *testing.T, name string, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		_, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Errorf("picture of %s: %v", name, err)
			return
		}
	}
}

var external = regexp.MustCompile(`(?i)<script|<link|<img|<iframe|@import|url\(|\b(?:src|href)=`)

// A page works without a network, has all its parts, and says what its charts show.
func TestPageStandsAlone(t *testing.T) {
	for page, write := range pages(sample(1)) {
		var b strings.Builder
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		html := b.String()
		if found := external.FindString(html); found != "" {
			t.Errorf("%s has %q", page, found)
		}
		if !strings.HasSuffix(page, ".html") {
			continue
		}
		charts := strings.Count(html, `role="img"`)
		if charts < 7 || strings.Count(html, "<desc ") != charts || strings.Count(html, `<title id=`) != charts {
			t.Errorf("%s: %d charts, %d titles, %d descriptions", page, charts, strings.Count(html, "<title id="), strings.Count(html, "<desc "))
		}
		if tables := strings.Count(html, "<table>"); tables == 0 || strings.Count(html, "<thead>") != tables {
			t.Errorf("%s: %d tables, %d headers", page, tables, strings.Count(html, "<thead>"))
		}
	}
}

func TestEscaping(t *testing.T) {
	const evil = `</title></style><script>alert("1")</script>&'`
	r := sample(1)
	r.Profile, r.Title, r.Command = evil, evil, evil
	r.Machine = Machine{CPUModel: evil, Kernel: evil, GoVersion: evil, Revision: evil}
	r.Settings, r.Notes, r.Checks.Details = map[string]string{evil: evil}, []string{evil}, []string{evil}
	r.Phases[1].Name, r.Phases[1].To = evil, 200 // wide enough for its label
	r.Targets[0] = Target{evil, evil, evil, true}
	r.Stages[0].Name, r.Stages[0].Note = evil, evil
	for i := range r.Series {
		r.Series[i].Processes[evil], r.Series[i].Lag[evil] = Usage{Cores: 1}, 1
	}
	for page, write := range pages(r) {
		if strings.HasSuffix(page, ".txt") {
			continue
		}
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b.Bytes(), []byte("<script")) || !bytes.Contains(b.Bytes(), []byte("&lt;script&gt;")) {
			t.Errorf("%s: not escaped", page)
		}
		if page == "picture.svg" {
			wellFormed(t, "evil", b.Bytes())
		}
	}
}

func TestInterruptedSaysSo(t *testing.T) {
	for page, write := range pages(interrupted()) {
		if page == "picture.svg" {
			continue
		}
		var b strings.Builder
		if err := write(&b); err != nil || !strings.Contains(strings.ToLower(b.String()), "interrupted") {
			t.Errorf("%s: %v", page, err)
		}
	}
}

func TestThin(t *testing.T) {
	r := sample(1)
	if got := thin(r.Series); len(got) != len(r.Series) {
		t.Errorf("%d of %d seconds of a short run", len(got), len(r.Series))
	}
	long := make([]Second, 2*points+1)
	for i := range long {
		long[i] = Second{T: float64(i + 1), Acked: uint64(i % 3 * 100), Ack: Percentiles{P99: float64(i)},
			Processes: map[string]Usage{"a": {Cores: float64(i % 3), ResidentBytes: uint64(i)}}, Lag: map[string]float64{"f": float64(i)}}
	}
	got := thin(long)
	if len(got) > points {
		t.Errorf("%d points", len(got))
	}
	want := Second{T: 3, Acked: 100, Ack: Percentiles{P99: 2}, Processes: map[string]Usage{"a": {Cores: 1, ResidentBytes: 2}}, Lag: map[string]float64{"f": 2}}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("the first three seconds: %+v", got[0])
	}
	if last := got[len(got)-1]; last.T != long[len(long)-1].T {
		t.Errorf("the last point is at %v", last.T)
	}
}

func TestSummary(t *testing.T) {
	var b strings.Builder
	Summary(&b, sample(1))
	golden(t, "summary.txt", b.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; -update writes it anew\ngot:\n%s", path, got)
	}
}
