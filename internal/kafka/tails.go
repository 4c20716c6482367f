package kafka

import (
	"context"
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
// are read. Calls at the same time share that.
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
	t := &tails{cfg: l.cfg, partitions: len(all), from: from, records: make(map[chat.StreamID][]*kgo.Record), events: make(map[chat.StreamID][]chat.Event)}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(tailsAtOnce)
	for _, at := range all {
		group.Go(func() error { return l.between(ctx, at, from[at.partition], ends[at.partition], t.add) })
	}
	return t, group.Wait()
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

// tails are the records of all tails by stream. They are decoded when they are asked
// for: nobody asks for most of them.
type tails struct {
	cfg        Config
	partitions int
	from       map[int32]int64 // by partition: the offset

	mu      sync.Mutex
	size    int
	records map[chat.StreamID][]*kgo.Record
	events  map[chat.StreamID][]chat.Event
}

// add adds a record; those of one stream come in their order. Errors: Unavailable
// when there are too many.
func (t *tails) add(r *kgo.Record) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.size += len(r.Value); t.size > maxTailsBytes {
		return chat.Errorf(chat.Unavailable, "persist is over %d bytes behind", maxTailsBytes)
	}
	stream := chat.StreamID(r.Key)
	t.records[stream] = append(t.records[stream], r)
	return nil
}

// Begin implements [chat.Tails].
func (t *tails) Begin(stream chat.StreamID) chat.Sequence {
	partition := partitionOf(stream, t.partitions)
	return t.cfg.SequenceAt(partition, t.from[partition])
}

// Of implements [chat.Tails].
func (t *tails) Of(stream chat.StreamID) []chat.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	records, ok := t.records[stream]
	if !ok {
		return t.events[stream]
	}
	delete(t.records, stream)
	events := make([]chat.Event, 0, len(records))
	for _, r := range records {
		if e, err := t.cfg.Event(r); err == nil { // others are for the dead letters
			events = append(events, e)
		}
	}
	t.events[stream] = events
	return events
}
