package pebble

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/analysis"
)

// textStore makes it possible to fill once and measure several times.
var textStore = flag.String("store", "", "directory of the store of BenchmarkText; it is filled if it is empty, and stays")

// BenchmarkText searches -messages messages of Korean as people write it, with the
// terms that they have. With -v it logs what the index takes on the disk once it is
// compacted.
func BenchmarkText(b *testing.B) {
	dir := *textStore
	if dir == "" {
		dir = b.TempDir()
	}
	s, err := Open(dir)
	must(b, err)
	b.Cleanup(func() { must(b, s.Close()) })
	if s.db.Metrics().DiskSpaceUsage() < 1<<20 {
		fillText(b, s)
	}
	used, err := s.db.EstimateDiskUsage([]byte{0}, []byte{0xff})
	must(b, err)
	b.Logf("index: %.1f B a message", float64(used)/float64(*messages))

	rnd := rand.New(rand.NewPCG(2, 2))
	for _, query := range []string{
		"국회", "법률이", "회의록", "만나다", "국회 의결", "회의 자료", "대통령이 임명", "재산권", `"국회의 의결"`, "1000원", "ㅋㅋㅋ", "ㅎㅇㄹ",
	} {
		for _, n := range []int{1, 200} {
			b.Run(fmt.Sprintf("%s, %d rooms", query, n), func(b *testing.B) {
				var took []time.Duration
				hits := 0
				for b.Loop() {
					q := chat.Query{Limit: 50}
					for _, room := range rnd.Perm(500)[:n] {
						q.Rooms = append(q.Rooms, roomNamed(room))
					}
					start := time.Now()
					q.Words = analysis.Words(query)
					found, _, err := s.Index().Search(b.Context(), q)
					took = append(took, time.Since(start))
					must(b, err)
					hits += len(found)
				}
				slices.Sort(took)
				b.ReportMetric(micros(took[len(took)/2])/1e3, "p50-ms")
				b.ReportMetric(micros(took[len(took)*99/100])/1e3, "p99-ms")
				b.ReportMetric(float64(hits)/float64(len(took)), "hits")
			})
		}
	}
}

// fillText puts messages of up to 15 successive words of the judged set, into 500
// rooms, and compacts.
func fillText(b *testing.B, s *Store) {
	lines := judgedLines(b)
	rnd := rand.New(rand.NewPCG(1, 1))
	at := time.UnixMilli(1 << 40).UTC()
	terms, analysing := 0, time.Duration(0)
	for seq := 0; seq < *messages; {
		docs := make([]chat.Document, gathered)
		for i := range docs {
			seq++
			line := lines[rnd.IntN(len(lines))]
			from := rnd.IntN(len(line))
			text := strings.Join(line[from:min(from+1+rnd.IntN(15), len(line))], " ")
			start := time.Now()
			docs[i] = chat.Document{
				Room: roomNamed(rnd.IntN(500)), Sequence: chat.Sequence(seq), Source: fmt.Sprintf("/users/user%012d", rnd.IntN(2000)),
				ID: fmt.Sprintf("%012x-7%015x", seq, rnd.Uint64()>>4), Time: at.Add(time.Duration(seq) * time.Millisecond),
				Terms: analysis.Terms(text),
			}
			analysing += time.Since(start)
			terms += len(docs[i].Terms)
		}
		must(b, s.Index().Put(b.Context(), docs))
	}
	b.Logf("filled: %.1f terms a message, %.1f µs to analyse it", float64(terms)/float64(*messages), micros(analysing)/float64(*messages))
	must(b, s.db.Flush())
	must(b, s.db.Compact(b.Context(), []byte{0}, []byte{0xff}, true))
}

// judgedLines are the lines of the judged set, by words.
func judgedLines(b *testing.B) (lines [][]string) {
	data, err := os.ReadFile(filepath.Join("..", "analysis", "judged", "messages.txt"))
	must(b, err)
	for line := range strings.Lines(string(data)) {
		if words := strings.Fields(line); len(words) > 0 {
			lines = append(lines, words)
		}
	}
	return lines
}
