package kafka

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
)

const (
	// maxTails and maxTailsBytes bound the events that all tails have together, and
	// their data. In health these are those of some 100 ms.
	maxTails      = 50_000
	maxTailsBytes = 16 << 20

	// tailsTimeout is how long to wait for brokers that do not answer: who asks has
	// something to show without them.
	tailsTimeout = 2 * time.Second

	// tailsAtOnce is how many partitions are read at once.
	tailsAtOnce = 4
)

// Tails implements [chat.Log]. It asks each broker once for the ends of all its
// partitions, and once for all commits; only partitions that have something between
// are read. Calls at the same time share that, and of what the call before has read only
// what came since is.
func (l *Log) Tails(ctx context.Context) (chat.Tails, error) {
	t, err := l.tails.Ask(ctx)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (l *Log) readTails(ctx context.Context, _ []struct{}) (t *tails, err error) {
	ctx, cancel := context.WithTimeout(ctx, tailsTimeout)
	defer cancel()
	if time.Since(l.read.at) > readAge {
		l.read = read{}
	}
	defer func() {
		if l.read.at = time.Now(); err != nil {
			l.read = read{}
		}
	}()
	err = l.ask(ctx, "tails", func(ctx context.Context, age time.Duration) (err error) {
		t, err = l.tailsOnce(ctx, age)
		return err
	})
	return t, err
}

func (l *Log) tailsOnce(ctx context.Context, age time.Duration) (*tails, error) {
	all, err := l.places(ctx, age)
	if err != nil {
		return nil, err
	}
	from, ends, err := l.extents(ctx, all)
	if err != nil {
		return nil, err
	}
	var behind int64
	for _, at := range all {
		behind += max(ends[at.partition]-from[at.partition], 0)
	}
	if behind > maxTails {
		return nil, chat.Errorf(chat.Unavailable, "persist is %d events behind", behind)
	}
	t := &tails{cfg: l.cfg, partitions: len(all), from: from, streams: make(map[chat.StreamID][]*tailed)}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(tailsAtOnce)
	if len(l.read.records) != len(all) {
		l.read.records = make([]run, len(all))
	}
	for i, at := range all {
		group.Go(func() error {
			r := &l.read.records[i]
			r.keep(at, from[at.partition], ends[at.partition])
			if err := l.between(ctx, at, r.end, ends[at.partition], r.add); err != nil {
				return err
			}
			return t.add(r.records)
		})
	}
	return t, group.Wait()
}

// read is what a look at the tails has read. The next look, if it comes soon, goes on
// from there. While calls follow each other closely, as the checks of a busy chat do,
// nearly all that they need was read before.
type read struct {
	at      time.Time
	records []run // of each partition
}

// readAge is how old what was read can be. Within it no broker dies and comes back
// without what it had, unnoticed by all looks.
const readAge = time.Second

// run is records of a partition that follow each other.
type run struct {
	place
	records []*tailed
	end     int64 // offset behind the last
}

// keep leaves the records from an offset on, and nothing if the next read, up to end,
// could not go on behind them.
func (r *run) keep(at place, from, end int64) {
	first := r.end
	if len(r.records) > 0 {
		first = r.records[0].Offset
	}
	if r.place != at || from < first || from >= r.end || end < r.end {
		*r = run{place: at, end: from}
		return
	}
	n, _ := slices.BinarySearchFunc(r.records, from, func(r *tailed, offset int64) int { return cmp.Compare(r.Offset, offset) })
	r.records = r.records[n:]
}

// add adds the next record. Errors: Unavailable when there are too many.
func (r *run) add(next *kgo.Record) error {
	if len(r.records) == maxTails {
		return chat.Errorf(chat.Unavailable, "persist is over %d events behind", maxTails)
	}
	r.records = append(r.records, &tailed{Record: next})
	r.end = next.Offset + 1
	return nil
}

// extents are the offsets, by partition, between which the tails lie. Both are asked
// for at once, see [Log.TailEnd].
func (l *Log) extents(ctx context.Context, all []place) (from, ends map[int32]int64, err error) {
	led := make(map[int32][]int32) // partitions by leader
	partitions := make([]int32, len(all))
	for i, at := range all {
		if at.leader < 0 {
			return nil, nil, kerr.LeaderNotAvailable
		}
		led[at.leader] = append(led[at.leader], at.partition)
		partitions[i] = at.partition
	}
	var mu sync.Mutex
	ends = make(map[int32]int64, len(all))
	var group errgroup.Group
	group.Go(func() (err error) { from, err = l.committed(ctx, all[0].topic, partitions...); return err })
	for leader, partitions := range led {
		group.Go(func() error {
			found, err := l.offsets(ctx, leader, atEnd, partitions...)
			mu.Lock()
			defer mu.Unlock()
			for partition, end := range found {
				ends[partition] = end
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	for _, at := range all {
		if from[at.partition] != never {
			continue
		}
		if from[at.partition], err = l.offset(ctx, at, atStart); err != nil {
			return nil, nil, err
		}
	}
	return from, ends, nil
}

// tailed is a record of a tail, with its event once that was asked for: nobody asks for most.
type tailed struct {
	*kgo.Record

	once  sync.Once
	event chat.Event
	err   error
}

// decoded is the record's event. Errors: those for the dead letters.
func (r *tailed) decoded(c Config) (*chat.Event, error) {
	r.once.Do(func() { r.event, r.err = c.Event(r.Record) })
	return &r.event, r.err
}

// tails are the records of all tails by stream.
type tails struct {
	cfg        Config
	partitions int
	from       map[int32]int64 // by partition: the offset

	mu      sync.Mutex // held while streams are added
	size    int
	streams map[chat.StreamID][]*tailed
}

// add adds a partition's records, in their order. Errors: Unavailable when there are too
// many.
func (t *tails) add(records []*tailed) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range records {
		if t.size += len(r.Value); t.size > maxTailsBytes {
			return chat.Errorf(chat.Unavailable, "persist is over %d bytes behind", maxTailsBytes)
		}
		stream := chat.StreamID(r.Key)
		t.streams[stream] = append(t.streams[stream], r)
	}
	return nil
}

// Begin implements [chat.Tails].
func (t *tails) Begin(stream chat.StreamID) chat.Sequence {
	partition := partitionOf(stream, t.partitions)
	return t.cfg.SequenceAt(partition, t.from[partition])
}

// Of implements [chat.Tails].
func (t *tails) Of(stream chat.StreamID) []chat.Event {
	records := t.streams[stream]
	events := make([]chat.Event, 0, len(records))
	for _, r := range records {
		if e, err := r.decoded(t.cfg); err == nil {
			events = append(events, *e)
		}
	}
	return events
}
