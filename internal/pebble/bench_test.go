package pebble

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"knatter.dev/chat"
)

// messages is how much the reading benchmarks read from. Rare terms have a
// handful of postings, common ones are in most messages.
var messages = flag.Int("messages", 50_000, "messages in the store that is read from")

const benchBatch = 256

// source makes messages as people write them: a few busy rooms and many quiet
// ones, 24 terms each from a vocabulary of which most is rare.
type source struct {
	rnd   *rand.Rand
	room  *rand.Zipf
	term  *rand.Zipf
	seq   chat.Sequence
	time  time.Time
	vocab []string
}

func newSource() *source {
	rnd := rand.New(rand.NewPCG(1, 1))
	s := &source{rnd: rnd, room: rand.NewZipf(rnd, 1.1, 1, 999), term: rand.NewZipf(rnd, 1.2, 3, 199_999), time: time.UnixMilli(1 << 40).UTC()}
	for range 200_000 {
		n := 2 + rnd.IntN(2)
		term := make([]rune, n)
		for i := range term {
			term[i] = rune(0xac00 + rnd.IntN(11172))
		}
		s.vocab = append(s.vocab, string(term))
	}
	return s
}

func (s *source) next(t testing.TB, n int) ([]chat.Event, []chat.Document) {
	events, docs := make([]chat.Event, n), make([]chat.Document, n)
	for i := range n {
		s.seq++
		s.time = s.time.Add(time.Millisecond)
		room := chat.RoomID(fmt.Sprintf("room-%04d-aaaa", s.room.Uint64()))
		user := chat.UserID(fmt.Sprintf("user%012d", s.rnd.IntN(2000)))
		var terms []string
		text := ""
		for range 24 {
			term := s.vocab[s.term.Uint64()]
			terms = append(terms, term)
			text += term + " "
		}
		id := fmt.Sprintf("%012x-7%015x", s.time.UnixMilli(), s.rnd.Uint64()>>4)
		e, err := chat.NewEvent(id, user, chat.MessagePosted, room, chat.Posted{Text: text})
		must(t, err)
		e.Sequence, e.Time = s.seq, s.time
		events[i] = e
		docs[i] = chat.Document{Room: room, Sequence: e.Sequence, Source: e.Source, ID: id, Time: e.Time, Terms: terms}
	}
	return events, docs
}

func BenchmarkPutEvents(b *testing.B) {
	s, src := onDisk(b), newSource()
	benchPut(b, func() func() error {
		events, _ := src.next(b, benchBatch)
		return func() error { return s.Events().Put(b.Context(), events) }
	})
}

func BenchmarkPutDocuments(b *testing.B) {
	s, src := onDisk(b), newSource()
	benchPut(b, func() func() error {
		_, docs := src.next(b, benchBatch)
		return func() error { return s.Index().Put(b.Context(), docs) }
	})
}

func benchPut(b *testing.B, next func() func() error) {
	b.ReportAllocs()
	var cpu time.Duration
	for b.Loop() {
		b.StopTimer()
		put := next()
		before := cpuTime(b)
		b.StartTimer()
		must(b, put())
		cpu += cpuTime(b) - before
	}
	b.ReportMetric(float64(b.N*benchBatch)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N*benchBatch), "cpu-µs/message")
}

// cpuTime is what the process has used, flushes and compactions included.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func onDisk(b *testing.B) *Store {
	s, err := Open(b.TempDir())
	must(b, err)
	b.Cleanup(func() { must(b, s.Close()) })
	return s
}

// fillMessages puts -messages messages, and logs what each of them costs as the store
// grows. Making them is not counted.
func fillMessages(b *testing.B, s *Store, src *source) {
	marks := []int{100_000, 500_000, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000}
	var cpu, wall time.Duration
	last := 0
	for n := 0; n < *messages; {
		events, docs := src.next(b, benchBatch)
		before, start := cpuTime(b), time.Now()
		must(b, errors.Join(s.Events().Put(b.Context(), events), s.Index().Put(b.Context(), docs)))
		cpu, wall = cpu+cpuTime(b)-before, wall+time.Since(start)
		n += benchBatch
		if i := slices.IndexFunc(marks, func(m int) bool { return n >= m && n-benchBatch < m }); i >= 0 || n >= *messages {
			each := float64(n - last)
			b.Logf("up to %7d messages: %.0f µs CPU and %.0f µs in all for each", n, float64(cpu.Microseconds())/each, float64(wall.Microseconds())/each)
			cpu, wall, last = 0, 0, n
		}
	}
}

// BenchmarkRead reads from a store of -messages messages on the disk.
func BenchmarkRead(b *testing.B) {
	s, src := onDisk(b), newSource()
	fillMessages(b, s, src)
	busy := chat.RoomID("room-0000-aaaa")
	last := src.seq
	var mine []chat.RoomID
	for i := range 200 {
		mine = append(mine, chat.RoomID(fmt.Sprintf("room-%04d-aaaa", i)))
	}
	common, second, rare := src.vocab[0], src.vocab[1], src.vocab[150_000]

	page := func(r chat.Range) func() error {
		return func() error {
			_, _, err := s.Events().Messages(b.Context(), busy, r)
			return err
		}
	}
	find := func(rooms []chat.RoomID, from chat.UserID, terms ...string) func() error {
		q := chat.Query{Rooms: rooms, From: from, Limit: 50}
		for _, term := range terms {
			q.Words = append(q.Words, chat.Word{Any: [][]string{{term}}})
		}
		return func() error {
			_, _, err := s.Index().Search(b.Context(), q)
			return err
		}
	}
	for _, c := range []struct {
		name string
		f    func() error
	}{
		{"newest page", page(chat.Range{Limit: 50, Newest: true})},
		{"old page", page(chat.Range{Limit: 50, Newest: true, Before: last / 2})},
		{"unread", func() error {
			_, err := s.Events().Unread(b.Context(), busy, 0, "nobody", 9999)
			return err
		}},
		{"search common, 1 room", find(mine[:1], "", common)},
		{"search common, 200 rooms", find(mine, "", common)},
		{"search 2 common, 200 rooms", find(mine, "", common, second)},
		{"search common from one, 200 rooms", find(mine, "user000000000007", common)},
		{"search rare, 200 rooms", find(mine, "", rare)},
		{"search common and rare, 200 rooms", find(mine, "", common, rare)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				must(b, c.f())
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
