package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// maxQueue is how many bytes of a partition may wait in memory before fetching it is
// paused. Fetching resumes when half of that is left.
const maxQueue = 2 << 20

// partition holds one partition's work: what waits, what is being handled, and up to
// where everything is done. The dispatcher starts its goroutine when the partition is
// assigned; stop stops it.
type partition struct {
	d      *Dispatcher
	id     int32
	client *kgo.Client
	h      *handling

	ctx    context.Context // of the calls of the function
	cancel context.CancelFunc
	going  context.Context // of everything but the calls; ends when nothing new may begin
	halt   context.CancelFunc
	wg     sync.WaitGroup // of the goroutine and its batches

	wake chan struct{} // signals that a batch may begin
	free chan struct{} // one slot for each batch that may be in flight

	mu       sync.Mutex
	queue    []*kgo.Record
	size     int // of the queue, in bytes
	paused   bool
	inFlight []*batch        // in order
	done     kgo.EpochOffset // everything below is done; not set before the first batch
	commit   int64           // the committed offset
	end      int64           // of the log, as last seen
}

// batch is what one call of the function receives.
type batch struct {
	records []*kgo.Record
	low     int64 // everything below was done when the batch began
	done    bool
}

func (d *Dispatcher) startPartition(client *kgo.Client, id int32) *partition {
	concurrency := d.opts.Concurrency
	if d.fn.Ordered {
		concurrency = 1
	}
	p := &partition{
		d:      d,
		id:     id,
		client: client,
		wake:   make(chan struct{}, 1),
		free:   make(chan struct{}, concurrency),
		done:   kgo.EpochOffset{Epoch: -1, Offset: -1},
		commit: -1,
	}
	p.h = &handling{cfg: d.cfg, fn: d.fn, target: d.target, opts: d.opts, count: d.count, produce: func(ctx context.Context, r *kgo.Record) error {
		return client.ProduceSync(ctx, r).FirstErr()
	}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.going, p.halt = context.WithCancel(p.ctx)
	p.wg.Go(p.run)
	return p
}

// add queues fetched records. It does not block: if the queue becomes too long, it
// pauses fetching.
func (p *partition) add(records []*kgo.Record, end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = end
	p.queue = append(p.queue, records...)
	for _, r := range records {
		p.size += sizeOf(r)
	}
	if p.size > maxQueue && !p.paused {
		p.paused = true
		p.client.PauseFetchPartitions(map[string][]int32{p.d.fn.Topic: {p.id}})
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func sizeOf(r *kgo.Record) int {
	size := 64 + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += 32 + len(h.Key) + len(h.Value)
	}
	return size
}

// run begins batches as long as there is work and slots are free.
func (p *partition) run() {
	for {
		if !p.acquire(p.free) {
			return
		}
		for p.empty() {
			select {
			case <-p.wake:
			case <-p.going.Done():
				return
			}
		}
		if !p.acquire(p.d.slots) {
			return
		}
		b := p.take()
		p.wg.Go(func() {
			defer func() { <-p.d.slots; <-p.free }()
			if err := p.h.batch(p.ctx, p.going, b.records, b.low); err != nil {
				return // stopped: the partition's next owner does the rest
			}
			p.finished(b)
		})
	}
}

func (p *partition) acquire(slot chan<- struct{}) bool {
	select {
	case slot <- struct{}{}:
		return true
	case <-p.going.Done():
		return false
	}
}

func (p *partition) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) == 0
}

// take makes a batch of what waits. The queue must not be empty.
func (p *partition) take() *batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, size := 0, 0
	for n < len(p.queue) && n < p.d.opts.MaxBatch {
		next := sizeOf(p.queue[n])
		if n > 0 && size+next > p.d.opts.MaxBatchBytes {
			break
		}
		size += next
		n++
	}
	b := &batch{records: p.queue[:n:n], low: p.queue[0].Offset}
	if len(p.inFlight) > 0 { // finished removes done batches from its front
		b.low = p.inFlight[0].records[0].Offset
	}
	p.queue = p.queue[n:]
	p.size -= size
	p.inFlight = append(p.inFlight, b)
	if p.paused && p.size <= maxQueue/2 {
		p.paused = false
		p.client.ResumeFetchPartitions(map[string][]int32{p.d.fn.Topic: {p.id}})
	}
	return b
}

// finished advances done to the first batch that is not done.
func (p *partition) finished(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.done = true
	for len(p.inFlight) > 0 && p.inFlight[0].done {
		records := p.inFlight[0].records
		last := records[len(records)-1]
		p.done = kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1}
		p.inFlight = p.inFlight[1:]
	}
	p.d.markDirty()
}

// uncommitted returns the offset to commit, if any.
func (p *partition) uncommitted() (kgo.EpochOffset, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done, p.done.Offset > p.commit
}

func (p *partition) committed(at kgo.EpochOffset) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commit = max(p.commit, at.Offset)
}

func (p *partition) lag() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done.Offset >= 0 {
		return max(p.end-p.done.Offset, 0)
	}
	if len(p.inFlight) > 0 {
		return p.end - p.inFlight[0].records[0].Offset
	}
	if len(p.queue) > 0 {
		return p.end - p.queue[0].Offset
	}
	return 0
}

// stop begins nothing more, not even a retry. It gives the calls in flight time to
// finish and then cancels them.
func (p *partition) stop(within time.Duration) {
	p.halt()
	defer p.cancel()
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		p.wg.Wait()
	}()
	finish := time.NewTimer(within)
	defer finish.Stop()
	select {
	case <-idle:
		return
	case <-finish.C:
	}
	p.cancel()
	// A function that ignores its context is abandoned. Its events are handled again,
	// which makes no difference.
	heed := time.NewTimer(time.Second)
	defer heed.Stop()
	select {
	case <-idle:
	case <-heed.C:
		p.d.opts.Logger.Error("the function does not stop", slog.Int("partition", int(p.id)))
	}
}
