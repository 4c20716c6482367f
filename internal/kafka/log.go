package kafka

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/share"
)

// Log appends to the log and to the deliveries. It is safe for concurrent use.
type Log struct {
	client     *kgo.Client
	cfg        Config
	partitions atomic.Int32 // of chat.rooms; fixed once NewLog knows them
	deliveries atomic.Pointer[deliveriesTopic]
	lag        lag
	refused    refusing
	tails      *share.Query[struct{}, *tails]
	read       read // by tails, of which one runs at a time
}

var (
	_ chat.Log       = (*Log)(nil)
	_ chat.Deliverer = (*Log)(nil)
)

// The producer's buffer. What does not fit is refused; see [Log.AppendAsync].
const (
	maxBuffered      = 50_000
	maxBufferedBytes = 128 << 20

	// maxChunk is how many records one call buffers at a time, so that one large call
	// alone never fills the buffer.
	maxChunk = 1024

	// metadataAge is the maximum age of cached partitions and leaders.
	metadataAge = 10 * time.Second
)

// NewLog connects to the log. For as long as an append may take, it waits for brokers
// that are starting and for a topic that is being created. Errors: Unavailable if the
// brokers cannot be reached or chat.rooms does not exist; Invalid if chat.rooms has
// another number of partitions than configured, or the brokers refuse us.
func NewLog(ctx context.Context, c Config) (*Log, error) {
	c = c.withDefaults()
	l := &Log{cfg: c}
	l.tails = share.NewQuery(l.readTails)
	client, err := newClient(c,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(l.partitioner()),
		// Linger for a moment and send one request at a time, so that under load what
		// arrives meanwhile makes the next request. Otherwise the requests of a busy
		// connector hold little more than one event each, and cost twice as much.
		kgo.ProducerLinger(time.Millisecond),
		kgo.MaxProduceRequestsInflightPerBroker(1),
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.MaxBufferedBytes(maxBufferedBytes),
		kgo.ProducerBatchMaxBytes(maxRecord),
		kgo.RecordDeliveryTimeout(c.Timeout),
		// A timely answer matters more than knowing whether the broker has the record:
		// whoever appends again does so with the same id.
		kgo.AllowIdempotentProduceCancellation(),
	)
	if err != nil {
		return nil, err
	}
	l.client = client
	l.lag.cfg, l.lag.admin = c, kadm.NewClient(client)
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	if err := patiently(ctx, func() error { return l.look(ctx) }); err != nil {
		client.Close()
		return nil, startFailure("topic "+chat.TopicRooms, err)
	}
	return l, nil
}

// look reads the number of partitions of chat.rooms, which decides where rooms are.
func (l *Log) look(ctx context.Context) error {
	rooms, err := l.topic(ctx, chat.TopicRooms, 1)
	if err != nil {
		return err
	}
	if err := l.cfg.roomsPartitions(len(rooms.Partitions)); err != nil {
		return err
	}
	l.partitions.Store(int32(len(rooms.Partitions)))
	return nil
}

// Append implements [chat.Log].
func (l *Log) Append(ctx context.Context, events ...*chat.Event) error {
	records := make([]*kgo.Record, len(events))
	for i, e := range events {
		if !e.Stream.Valid() {
			return chat.Errorf(chat.Invalid, "the event has no valid stream")
		}
		if err := l.admit(e); err != nil {
			return err
		}
		records[i] = record(e)
	}
	if err := l.produce(ctx, records); err != nil {
		return failure("append", err)
	}
	for i, r := range records {
		events[i].Sequence = l.cfg.SequenceAt(r.Partition, r.Offset)
	}
	return nil
}

// AppendAsync logs one event and returns at once; it uses only the values of ctx.
// Events of one stream are logged in the order of the calls. It calls done exactly
// once, from a goroutine of the client that must not be blocked: with nil after e's
// Sequence was set, or with an error. The error is Unavailable also if the buffer is
// full. e must not be changed before that.
func (l *Log) AppendAsync(ctx context.Context, e *chat.Event, done func(err error)) {
	if !e.Stream.Valid() {
		// A new goroutine keeps the promise that the caller itself never calls done.
		go done(chat.Errorf(chat.Invalid, "the event has no valid stream"))
		return
	}
	if err := l.admit(e); err != nil {
		go done(err)
		return
	}
	l.client.TryProduce(context.WithoutCancel(ctx), record(e), func(r *kgo.Record, err error) {
		if err != nil {
			l.refused.add(r, err)
			done(failure("append", err))
			return
		}
		e.Sequence = l.cfg.SequenceAt(r.Partition, r.Offset)
		l.acked(r)
		done(nil)
	})
}

// maxSignals is how many records may wait to be sent before signals are dropped.
const maxSignals = 1000

// Signal sends a signal to the consumers of chat.signals. The caller does not learn
// whether it got there: it is dropped if the log is unavailable or busy.
func (l *Log) Signal(ctx context.Context, e *chat.Event) {
	if l.client.BufferedProduceRecords() >= maxSignals {
		return
	}
	r := record(e)
	r.Topic = chat.TopicSignals
	l.client.TryProduce(context.WithoutCancel(ctx), r, nil)
}

// Deliver implements [chat.Deliverer].
func (l *Log) Deliver(ctx context.Context, deliveries []chat.Delivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	connectors, err := l.connectors(ctx)
	if err != nil {
		return err
	}
	records := make([]*kgo.Record, 0, len(deliveries))
	for _, d := range deliveries {
		if d.Connector < 0 || d.Connector >= connectors {
			// No connector can consume a partition that does not exist. Failing would
			// keep the room's other connectors waiting forever.
			slog.WarnContext(ctx, "delivery to a connector without a partition", slog.Int("connector", d.Connector), slog.Any("stream", d.Stream))
			continue
		}
		records = append(records, deliveryRecord(d))
	}
	return failure("deliver", l.produce(ctx, records))
}

// produce appends records, and returns the first error when all are done. If ctx ends
// first, the records remain in the buffer: removing them from a batch would fail the
// other records in it.
func (l *Log) produce(ctx context.Context, records []*kgo.Record) error {
	for chunk := range slices.Chunk(records, maxChunk) {
		if err := ctx.Err(); err != nil {
			return err
		}
		acks := make(chan error, len(chunk))
		for _, r := range chunk {
			l.client.TryProduce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) {
				if err == nil {
					l.acked(r)
				} else {
					l.refused.add(r, err)
				}
				acks <- err
			})
		}
		var first error
		for range chunk {
			select {
			case err := <-acks:
				if first == nil {
					first = err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if first != nil {
			return first
		}
	}
	return nil
}

// acked passes on that a record was acknowledged.
func (l *Log) acked(r *kgo.Record) {
	l.refused.remove(r)
	if l.cfg.Acked != nil && r.Topic == chat.TopicRooms {
		l.cfg.Acked(r.Partition, r.Offset)
	}
}

// admit refuses an event if its partition has little room left beyond what persist and
// index have yet to read. The system's own events are few, and pass. Errors:
// Unavailable.
func (l *Log) admit(e *chat.Event) error {
	if e.Type.Hidden() {
		return nil
	}
	return l.lag.check(partitionOf(e.Stream, int(l.partitions.Load())))
}

// Ready reports whether events can be logged: a broker answers, persist and index are
// not too far behind, and the partitions of chat.rooms that refused the last event
// accept a hidden one now. Errors: Unavailable.
func (l *Log) Ready(ctx context.Context) error {
	ctx, cancel := l.cfg.bounded(ctx)
	defer cancel()
	if err := l.client.Ping(ctx); err != nil {
		return failure("ping", err)
	}
	if err := l.lag.now(ctx); err != nil {
		return err
	}
	return failure("append", l.produce(ctx, l.refused.probes(int(l.partitions.Load()))))
}

// Connectors returns how many connectors there can be: the number of partitions of
// chat.deliveries. Errors: Unavailable.
func (l *Log) Connectors(ctx context.Context) (int, error) {
	ctx, cancel := l.cfg.bounded(ctx)
	defer cancel()
	return l.connectors(ctx)
}

// connectors caches the answer for metadataAge, since every delivery needs it.
func (l *Log) connectors(ctx context.Context) (int, error) {
	if known := l.deliveries.Load(); known != nil && time.Since(known.asked) < metadataAge {
		return known.partitions, nil
	}
	asked := time.Now()
	t, err := l.topic(ctx, chat.TopicDeliveries, 1)
	if err != nil {
		return 0, failure("topic "+chat.TopicDeliveries, err)
	}
	l.deliveries.Store(&deliveriesTopic{partitions: len(t.Partitions), asked: asked})
	return len(t.Partitions), nil
}

// deliveriesTopic is the cached number of partitions of chat.deliveries.
type deliveriesTopic struct {
	partitions int
	asked      time.Time
}

// Close waits for pending appends, for at most the configured timeout, and disconnects.
func (l *Log) Close() {
	ctx, cancel := l.cfg.bounded(context.Background())
	defer cancel()
	_ = l.client.Flush(ctx) // appends that cannot be flushed fail with their own errors
	l.client.Close()
}

// topic returns what is known about a topic, at most age old.
func (l *Log) topic(ctx context.Context, name string, age time.Duration) (kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(name)
	req.Topics = append(req.Topics, t)
	resp, err := l.client.RequestCachedMetadata(ctx, &req, age)
	if err != nil {
		return kmsg.MetadataResponseTopic{}, err
	}
	if len(resp.Topics) != 1 {
		return kmsg.MetadataResponseTopic{}, errNoAnswer
	}
	return resp.Topics[0], kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}

func record(e *chat.Event) *kgo.Record {
	headers := e.Headers()
	r := &kgo.Record{
		Topic:   chat.TopicRooms,
		Key:     []byte(e.Stream),
		Value:   e.Data,
		Headers: make([]kgo.RecordHeader, len(headers)),
	}
	for i, h := range headers {
		r.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
	}
	return r
}

// Headers of a delivery.
const (
	headerStream   = "stream"
	headerSequence = "sequence"
	headerType     = "type"
	headerOnly     = "only"
)

func deliveryRecord(d chat.Delivery) *kgo.Record {
	r := &kgo.Record{
		Topic:     chat.TopicDeliveries,
		Partition: int32(d.Connector),
		Value:     d.Frame,
		Headers: []kgo.RecordHeader{
			{Key: headerStream, Value: []byte(d.Stream)},
			{Key: headerType, Value: []byte(d.Type)},
		},
	}
	if !d.Type.Signal() {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headerSequence, Value: []byte(strconv.FormatInt(int64(d.Sequence), 10))})
	}
	if d.Only != "" {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headerOnly, Value: []byte(d.Only)})
	}
	return r
}
