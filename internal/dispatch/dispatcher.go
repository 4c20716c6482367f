// Package dispatch consumes the log on behalf of an event function and passes it the
// events. Its semantics are those of Knative's KafkaSource: delivery is at least once,
// ordered or unordered within each partition, with retries and back-off, dead letters,
// and commits of finished work only.
package dispatch

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
)

// Options tune a dispatcher. Zero values mean the defaults.
type Options struct {
	// Concurrency is the maximum number of batches handled at a time, over all
	// partitions. Ordered functions handle at most one per partition. The default is 8,
	// or 64 for [HTTP].
	Concurrency int

	// MaxBatch and MaxBatchBytes limit what is passed in one call. A batch is whatever
	// is waiting; the dispatcher never waits for one to fill. The default is 500 events
	// and 1 MiB, or one event for [HTTP] if the function is unordered.
	MaxBatch      int
	MaxBatchBytes int

	// Pause is the minimum time between two polls of the log. An event after a quiet
	// moment is not delayed; under load, what has arrived meanwhile makes one batch.
	// The default is 2 ms for ordered functions and 25 ms for others.
	Pause time.Duration

	// TryTimeout limits one call of the function. The default is 30 s.
	TryTimeout time.Duration

	// MinBackoff and MaxBackoff limit the pause after a failed try. The pause doubles
	// with each try and has jitter. The default is 100 ms to 30 s.
	MinBackoff, MaxBackoff time.Duration

	// MaxTries is the number of tries after which an event that keeps failing becomes a
	// dead letter. The default, 0, means never: the dispatcher keeps trying.
	MaxTries int

	// CommitInterval is the minimum time between two commits. The default is 50 ms.
	CommitInterval time.Duration

	// StopTimeout is how long calls in flight may take to finish when the dispatcher
	// stops or gives up a partition. The default is 10 s.
	StopTimeout time.Duration

	// Logger defaults to [slog.Default].
	Logger *slog.Logger
}

func (o Options) withDefaults(fn chat.EventFunction, target chat.Handler) Options {
	if _, remote := target.(*remote); remote {
		o.Concurrency = cmp.Or(o.Concurrency, 64)
		if !fn.Ordered {
			o.MaxBatch = cmp.Or(o.MaxBatch, 1)
		}
	}
	o.Concurrency = cmp.Or(o.Concurrency, 8)
	if fn.Ordered {
		o.Pause = cmp.Or(o.Pause, 2*time.Millisecond)
	}
	o.Pause = cmp.Or(o.Pause, 25*time.Millisecond)
	o.MaxBatch = cmp.Or(o.MaxBatch, 500)
	o.MaxBatchBytes = cmp.Or(o.MaxBatchBytes, 1<<20)
	o.TryTimeout = cmp.Or(o.TryTimeout, 30*time.Second)
	o.MinBackoff = cmp.Or(o.MinBackoff, 100*time.Millisecond)
	o.MaxBackoff = max(cmp.Or(o.MaxBackoff, 30*time.Second), o.MinBackoff)
	o.CommitInterval = cmp.Or(o.CommitInterval, 50*time.Millisecond)
	o.StopTimeout = cmp.Or(o.StopTimeout, 10*time.Second)
	o.Logger = cmp.Or(o.Logger, slog.Default()).With(slog.String("function", fn.Name))
	return o
}

// Limits of what the client fetches ahead of the partitions' queues, per broker.
const (
	fetchBytes          = 8 << 20
	fetchPartitionBytes = 1 << 20

	// fetchWait is how long a fetch waits for records. A partition that was paused is
	// included in the next fetch.
	fetchWait = 500 * time.Millisecond
)

// rebalanceTimeout is how long a rebalance waits for members to give up their
// partitions. sessionTimeout is after how long a silent member counts as dead.
const (
	rebalanceTimeout  = 60 * time.Second
	sessionTimeout    = 12 * time.Second
	heartbeatInterval = time.Second
)

// Dispatcher consumes its function's topic as a member of the function's consumer
// group.
type Dispatcher struct {
	cfg    kafka.Config
	fn     chat.EventFunction
	target chat.Handler
	opts   Options
	count  *counters

	client atomic.Pointer[kgo.Client] // while running
	slots  chan struct{}              // one for each batch that is being handled
	dirty  chan struct{}              // signals that there is something to commit

	committing sync.Mutex // held while a commit is determined and made, so that commits never go back

	mu         sync.Mutex
	partitions map[int32]*partition
}

// New returns a dispatcher that passes fn's events to target. It does nothing until
// Run.
func New(cfg kafka.Config, fn chat.EventFunction, target chat.Handler, opts Options) *Dispatcher {
	opts = opts.withDefaults(fn, target)
	return &Dispatcher{
		cfg:        cfg,
		fn:         fn,
		target:     target,
		opts:       opts,
		count:      newCounters(fn.Name),
		slots:      make(chan struct{}, opts.Concurrency),
		dirty:      make(chan struct{}, 1),
		partitions: make(map[int32]*partition),
	}
}

// Run consumes the log until ctx ends. Then it begins nothing new, lets the calls in
// flight finish, commits, leaves the group, and returns nil. A dispatcher must not be
// run twice at a time.
func (d *Dispatcher) Run(ctx context.Context) error {
	client, err := kgo.NewClient(d.cfg.Options(
		kgo.ConsumerGroup(d.fn.Group),
		kgo.ConsumeTopics(d.fn.Topic),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // signals that are too old are dropped
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.DisableAutoCommit(),
		// A partition must not be revoked between a poll and the queueing of its
		// result.
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(d.assigned),
		kgo.OnPartitionsRevoked(d.revoked),
		kgo.OnPartitionsLost(d.lost),
		kgo.FetchMaxBytes(fetchBytes),
		kgo.FetchMaxPartitionBytes(fetchPartitionBytes),
		kgo.FetchMaxWait(fetchWait),
		kgo.ProducerLinger(0), // of dead letters
	)...)
	if err != nil {
		return chat.Errorf(chat.Invalid, "kafka client: %w", err)
	}
	d.client.Store(client)
	defer d.client.Store(nil)

	stop := make(chan struct{})
	var committer sync.WaitGroup
	committer.Go(func() { d.commitLoop(client, stop) })

	d.poll(ctx, client)

	d.giveUp(client, d.all(), d.opts.StopTimeout)
	close(stop)
	committer.Wait()
	client.CloseAllowingRebalance()
	d.drop(d.all()) // partitions that a rebalance has assigned meanwhile
	return nil
}

// Ready reports whether the dispatcher is a member of its group.
func (d *Dispatcher) Ready() bool {
	client := d.client.Load()
	if client == nil {
		return false
	}
	_, generation := client.GroupMetadata()
	return generation >= 0
}

// Lag returns the number of records in the dispatcher's partitions that are not done,
// as far as it knows.
func (d *Dispatcher) Lag() int64 {
	var lag int64
	for _, p := range d.all() {
		lag += p.lag()
	}
	return lag
}

func (d *Dispatcher) poll(ctx context.Context, client *kgo.Client) {
	for limiter := kafka.NewPollLimiter(d.opts.Pause); ; limiter.Wait(ctx) {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			client.AllowRebalance()
			return
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			d.opts.Logger.ErrorContext(ctx, "fetch failed", slog.String("topic", topic), slog.Int("partition", int(partition)), slog.Any("error", err))
		})
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			d.mu.Lock()
			p := d.partitions[f.Partition]
			d.mu.Unlock()
			if p != nil {
				p.add(f.Records, f.HighWatermark)
			}
		})
		client.AllowRebalance()
	}
}

func (d *Dispatcher) all() []*partition {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*partition, 0, len(d.partitions))
	for _, p := range d.partitions {
		all = append(all, p)
	}
	return all
}

func (d *Dispatcher) assigned(_ context.Context, client *kgo.Client, assigned map[string][]int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range assigned[d.fn.Topic] {
		d.partitions[id] = d.startPartition(client, id)
	}
}

func (d *Dispatcher) revoked(_ context.Context, client *kgo.Client, revoked map[string][]int32) {
	d.giveUp(client, d.some(revoked), min(d.opts.StopTimeout, rebalanceTimeout/2))
}

// lost is called when another member may own the partitions already. There is no time
// to finish anything, and committing is no longer allowed.
func (d *Dispatcher) lost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	d.drop(d.some(lost))
}

func (d *Dispatcher) drop(partitions []*partition) {
	d.finish(partitions, 0)
	d.forget(partitions)
}

func (d *Dispatcher) some(ids map[string][]int32) []*partition {
	d.mu.Lock()
	defer d.mu.Unlock()
	var some []*partition
	for _, id := range ids[d.fn.Topic] {
		if p := d.partitions[id]; p != nil {
			some = append(some, p)
		}
	}
	return some
}

// giveUp stops partitions, commits what they have done, and forgets them.
func (d *Dispatcher) giveUp(client *kgo.Client, partitions []*partition, within time.Duration) {
	d.finish(partitions, within)
	d.commit(client, partitions)
	d.forget(partitions)
}

// finish stops partitions concurrently.
func (d *Dispatcher) finish(partitions []*partition, within time.Duration) {
	var wg sync.WaitGroup
	for _, p := range partitions {
		wg.Go(func() { p.stop(within) })
	}
	wg.Wait()
}

func (d *Dispatcher) forget(partitions []*partition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range partitions {
		if d.partitions[p.id] == p {
			delete(d.partitions, p.id)
		}
	}
}

// commitLoop commits soon after work is done: history reads from the log whatever lies
// between the commit and the log's end.
func (d *Dispatcher) commitLoop(client *kgo.Client, stop <-chan struct{}) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-stop:
			return
		case <-pause.C:
		}
		select {
		case <-stop:
			return
		case <-d.dirty:
			d.commit(client, d.all())
		}
		pause.Reset(d.opts.CommitInterval)
	}
}

func (d *Dispatcher) commit(client *kgo.Client, partitions []*partition) {
	d.committing.Lock()
	defer d.committing.Unlock()
	offsets := make(map[int32]kgo.EpochOffset)
	for _, p := range partitions {
		if at, ok := p.uncommitted(); ok {
			offsets[p.id] = at
		}
	}
	if len(offsets) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), d.opts.StopTimeout)
	defer cancel()
	failed := make(map[int32]error)
	client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{d.fn.Topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				for id := range offsets {
					failed[id] = err
				}
				return
			}
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
						failed[p.Partition] = err
					}
				}
			}
		})
	for _, p := range partitions {
		at, ok := offsets[p.id]
		if !ok {
			continue
		}
		err := failed[p.id]
		if err == nil {
			p.committed(at)
			continue
		}
		level := slog.LevelWarn
		if errors.Is(err, kerr.RebalanceInProgress) {
			level = slog.LevelDebug
		}
		d.opts.Logger.Log(ctx, level, "commit failed", slog.Int("partition", int(p.id)), slog.Any("error", err))
		d.markDirty() // try again while the partition is ours
	}
}

func (d *Dispatcher) markDirty() {
	select {
	case d.dirty <- struct{}{}:
	default:
	}
}
