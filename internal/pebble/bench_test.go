package pebble

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"knatter.dev/chat"
)

// messages is how much the reading benchmarks read from, and what the store grows
// to. Rare terms have a handful of postings, common ones are in most messages.
var messages = flag.Int("messages", 50_000, "messages in the store that is read from")

// gathered is how many messages one Put has: what comes in about 25 ms of a busy
// server.
const gathered = 256

// termsEach is how many terms a message has.
const termsEach = 24

// source makes messages as people write them, of terms from a vocabulary of which
// most is rare. It is the same messages every time.
type source struct {
	rnd   *rand.Rand
	room  func() int
	term  *rand.Zipf
	seq   chat.Sequence
	time  time.Time
	vocab []string
}

// newSource has a few busy rooms and many quiet ones.
func newSource() *source {
	s := evenSource(1000)
	zipf := rand.NewZipf(s.rnd, 1.1, 1, 999)
	s.room = func() int { return int(zipf.Uint64()) }
	return s
}

// evenSource has rooms that are equally busy.
func evenSource(rooms int) *source {
	rnd := rand.New(rand.NewPCG(1, 1))
	s := &source{rnd: rnd, room: func() int { return rnd.IntN(rooms) }, term: rand.NewZipf(rnd, 1.2, 3, 199_999), time: time.UnixMilli(1 << 40).UTC()}
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

var shapes = []struct {
	name   string
	source func() *source
}{
	{"busy", newSource},
	{"even", func() *source { return evenSource(500) }},
}

func roomNamed(i int) chat.RoomID { return chat.RoomID(fmt.Sprintf("room-%04d-aaaa", i)) }

func (s *source) next(t testing.TB, n int) ([]chat.Event, []chat.Document) {
	events, docs := make([]chat.Event, n), make([]chat.Document, n)
	for i := range n {
		s.seq++
		s.time = s.time.Add(time.Millisecond)
		room := roomNamed(s.room())
		user := chat.UserID(fmt.Sprintf("user%012d", s.rnd.IntN(2000)))
		terms := make([]string, 0, termsEach)
		for len(terms) < termsEach {
			if term := s.vocab[s.term.Uint64()]; !slices.Contains(terms, term) {
				terms = append(terms, term)
			}
		}
		id := fmt.Sprintf("%012x-7%015x", s.time.UnixMilli(), s.rnd.Uint64()>>4)
		e, err := chat.NewEvent(id, user, chat.MessagePosted, room, chat.Posted{Text: strings.Join(terms, " ")})
		must(t, err)
		e.Sequence, e.Time = s.seq, s.time
		events[i] = e
		docs[i] = chat.Document{Room: room, Sequence: e.Sequence, Source: e.Source, ID: id, Time: e.Time, Terms: terms}
	}
	return events, docs
}

// cost counts what messages cost the whole process, with the compactions in the
// background, less the making of them.
type cost struct {
	making time.Duration // of one message
	count  int
	cpu    time.Duration
	wall   time.Time
}

// newCost is to be called while nothing else goes on.
func newCost(t testing.TB) *cost {
	const sample = 20_000
	src, before := newSource(), processTime(t)
	for range sample / gathered {
		src.next(t, gathered)
	}
	c := &cost{making: (processTime(t) - before) / (sample / gathered * gathered)}
	c.begin(t)
	return c
}

func (c *cost) begin(t testing.TB) { c.count, c.cpu, c.wall = 0, processTime(t), time.Now() }

// each is the processor time and the time of each message since begin.
func (c *cost) each(t testing.TB) (cpu, wall time.Duration) {
	n := time.Duration(c.count)
	return (processTime(t)-c.cpu)/n - c.making, time.Since(c.wall)/n - c.making
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// processTime is what all threads have spent, in the kernel too.
func processTime(t testing.TB) time.Duration {
	var usage syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func BenchmarkPutEvents(b *testing.B) {
	benchPut(b, func(s *Store, events []chat.Event, _ []chat.Document) error {
		return s.Events().Put(b.Context(), events)
	})
}

func BenchmarkPutDocuments(b *testing.B) {
	benchPut(b, func(s *Store, _ []chat.Event, docs []chat.Document) error {
		return s.Index().Put(b.Context(), docs)
	})
}

// benchPut puts by as many messages as come together at rest and under load, into
// a few busy rooms and into 500 even ones.
func benchPut(b *testing.B, put func(*Store, []chat.Event, []chat.Document) error) {
	for _, n := range []int{1, 10, 50, gathered, 500} {
		for _, shape := range shapes {
			b.Run(fmt.Sprintf("%s/%d", shape.name, n), func(b *testing.B) {
				src, c, s := shape.source(), newCost(b), onDisk(b)
				b.ReportAllocs()
				c.begin(b)
				for b.Loop() {
					b.StopTimer()
					events, docs := src.next(b, n)
					b.StartTimer()
					must(b, put(s, events, docs))
					c.count += n
				}
				cpu, _ := c.each(b)
				b.ReportMetric(micros(cpu), "cpu-µs/message")
				b.ReportMetric(float64(c.count)/b.Elapsed().Seconds(), "messages/s")
			})
		}
	}
}

func onDisk(b *testing.B) *Store {
	s, err := Open(b.TempDir())
	must(b, err)
	b.Cleanup(func() { must(b, s.Close()) })
	return s
}

// fillStore puts -messages messages, and logs what each has cost from one size of
// the store to the next.
func fillStore(b *testing.B, src *source) *Store {
	c, s := newCost(b), onDisk(b)
	sizes := []int{100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000}
	var longest time.Duration
	for total := 0; total < *messages; {
		events, docs := src.next(b, gathered)
		start := time.Now()
		must(b, errors.Join(s.Events().Put(b.Context(), events), s.Index().Put(b.Context(), docs)))
		longest = max(longest, time.Since(start))
		total += gathered
		c.count += gathered
		if len(sizes) > 0 && total >= sizes[0] || total >= *messages {
			cpu, wall := c.each(b)
			m := s.db.Metrics()
			all := m.Total()
			b.Logf("%9d messages: cpu %5.1f µs, wall %5.1f µs each, longest Put %v; disk %d MiB, %d B written for each in all",
				total, micros(cpu), micros(wall), longest.Round(time.Millisecond), m.DiskSpaceUsage()>>20,
				(all.TableBytesFlushed+all.TableBytesCompacted+all.BlobBytesFlushed+all.BlobBytesCompacted+m.WAL.BytesWritten)/uint64(total))
			c.begin(b)
			longest = 0
			sizes = sizes[min(len(sizes), 1):]
		}
	}
	return s
}

// BenchmarkRead reads from a store of -messages messages on the disk, of which it
// also logs the filling. With -messages=5000000 this takes a few minutes.
func BenchmarkRead(b *testing.B) {
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			src := shape.source()
			benchRead(b, fillStore(b, src), src)
		})
	}
}

func benchRead(b *testing.B, s *Store, src *source) {
	rnd := rand.New(rand.NewPCG(2, 2))
	last := src.seq
	somewhere := func() chat.Sequence { return 1 + chat.Sequence(rnd.Int64N(int64(last))) }
	rooms := func(n int) []chat.RoomID { // of the 500 that all sources have
		some := make([]chat.RoomID, n)
		for i, room := range rnd.Perm(500)[:n] {
			some[i] = roomNamed(room)
		}
		return some
	}
	busiest := []chat.RoomID{roomNamed(0)}
	common := func(i int) string { return src.vocab[i] }
	rare := func() string { return src.vocab[50_000+rnd.IntN(100_000)] }

	page := func(room chat.RoomID, r chat.Range) error {
		_, _, err := s.Events().Messages(b.Context(), room, r)
		return err
	}
	find := func(q chat.Query, terms ...string) error {
		q.Limit = 50
		for _, term := range terms {
			q.Words = append(q.Words, chat.Word{Any: [][]string{{term}}})
		}
		_, _, err := s.Index().Search(b.Context(), q)
		return err
	}
	older := func() chat.Hit { // a page from the middle of everything
		seq := somewhere()
		return chat.Hit{Room: roomNamed(0), Sequence: seq, Time: src.time.Add(-time.Duration(last-seq) * time.Millisecond)}
	}
	for _, c := range []struct {
		name string
		f    func() error
	}{
		{"newest page", func() error { return page(rooms(1)[0], chat.Range{Limit: 50, Newest: true}) }},
		{"old page", func() error { return page(rooms(1)[0], chat.Range{Limit: 50, Newest: true, Before: somewhere()}) }},
		{"unread 200", func() error {
			_, err := s.Events().Unread(b.Context(), rooms(1)[0], "nobody", chat.Range{After: somewhere(), Limit: 200})
			return err
		}},
		{"common, busiest room", func() error { return find(chat.Query{Rooms: busiest}, common(0)) }},
		{"common, a room", func() error { return find(chat.Query{Rooms: rooms(1)}, common(0)) }},
		{"common, 200 rooms", func() error { return find(chat.Query{Rooms: rooms(200)}, common(0)) }},
		{"common, 200 rooms, older", func() error { return find(chat.Query{Rooms: rooms(200), Cursor: older()}, common(0)) }},
		{"2 common, a room", func() error { return find(chat.Query{Rooms: rooms(1)}, common(0), common(1)) }},
		{"2 common, 200 rooms", func() error { return find(chat.Query{Rooms: rooms(200)}, common(0), common(1)) }},
		{"2 common, 200 rooms, older", func() error { return find(chat.Query{Rooms: rooms(200), Cursor: older()}, common(0), common(1)) }},
		{"2 uncommon, 200 rooms", func() error {
			return find(chat.Query{Rooms: rooms(200)}, common(20+rnd.IntN(20)), common(100+rnd.IntN(100)))
		}},
		{"common from one, 200 rooms", func() error {
			return find(chat.Query{Rooms: rooms(200), From: []chat.UserID{"user000000000007"}}, common(0))
		}},
		{"rare, 200 rooms", func() error { return find(chat.Query{Rooms: rooms(200)}, rare()) }},
		{"common and rare, 200 rooms", func() error { return find(chat.Query{Rooms: rooms(200)}, common(0), rare()) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				must(b, c.f())
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(micros(took[len(took)/2])/1e3, "p50-ms")
			b.ReportMetric(micros(took[len(took)*99/100])/1e3, "p99-ms")
		})
	}
}
