package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// maxQueue is how much of a partition waits in memory before fetching it is
// paused; it goes on when half is left.
const maxQueue = 2 << 20

// partition is one partition's work: what waits, what is being handled, and up to
// where all is done. Its goroutine is started by the dispatcher's assignment and
// stopped by stop.
type partition struct {
	d      *Dispatcher
	id     int32
	client *kgo.Client
	h      *handling

	ctx    context.Context // of the calls of the function
	cancel context.CancelFunc
	going  context.Context // of everything but the calls: done when no more is to be begun
	halt   context.CancelFunc
	wg     sync.WaitGroup // of the goroutine and its batches

	wake chan struct{} // there may be something to begin
	free chan struct{} // a slot for each batch that may be in flight

	mu       sync.Mutex
	queue    []*kgo.Record
	size     int // of the queue, in bytes
	paused   bool
	inFlight []*batch        // in order
	done     kgo.EpochOffset // everything below is done; meaningless before the first batch
	commit   int64           // what is committed of it
	end      int64           // of the log, as last heard
}

// batch is what one call of the function gets.
type batch struct {
	records []*kgo.Record
	low     int64 // the partition was done below it when the batch began
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

// add queues fetched records. It doesn't block: a queue that grows too long
// pauses the fetching.
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

// run begins batches as there is work and slots are free.
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
				return // stopped: what is not done is for the partition's next owner
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

// take makes a batch of what waits, which must not be nothing.
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
	if len(p.inFlight) > 0 { // finished drops what is done at its front
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

// finished moves the mark of what is done to before the first batch that isn't.
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

// uncommitted is what there is to commit.
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

// stop begins nothing more, not even a retry, gives the calls in flight the time
// to finish, and cancels those that don't.
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
	// A function that doesn't heed its context is left behind: whatever it still
	// does will be done again, and that makes no difference.
	heed := time.NewTimer(time.Second)
	defer heed.Stop()
	select {
	case <-idle:
	case <-heed.C:
		p.d.opts.Logger.Error("the function does not stop", slog.Int("partition", int(p.id)))
	}
}
