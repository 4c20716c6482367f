// Package kafka implements the log and the deliveries with franz-go. Events are records
// of the CloudEvents Kafka binding. A stream is one key, so it is in one partition and
// has one order.
package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"

	"knatter.dev/chat"
)

// Config says how to reach the log, and how its topics are created. Zero values mean
// the defaults.
type Config struct {
	Brokers []string       // host:port; required
	TLS     *tls.Config    // see [TLS]; default: none
	SASL    sasl.Mechanism // see [SASL]; default: none

	Partitions         int32         // of chat.rooms and chat.signals; default: what there are, 16 when they are made
	DeliveryPartitions int32         // of chat.deliveries, the most connectors there can be; default as above
	Replication        int16         // default: what there is, the brokers' own when topics are made
	Generation         int           // of the log, 0 to 31, where there is no lineage; the upper bits of every sequence
	Lineage            chat.Lineage  // the log's generations; see [Reconcile]
	RetentionBytes     int64         // kept of each partition of chat.rooms, negative for everything; default: what is set, 256 MiB when it is made
	Trimmed            bool          // the brokers keep everything; who runs them drops what is beyond RetentionBytes
	Uncompressed       bool          // append without compression, for brokers that no network is between
	Timeout            time.Duration // after which an append fails as Unavailable, at least 1 s; default 10 s

	// Acked, unless nil, is called for each event that is acknowledged in chat.rooms.
	Acked func(partition int32, offset int64)
}

const (
	defaultPartitions     = 16
	defaultRetentionBytes = 256 << 20
	defaultTimeout        = 10 * time.Second

	// maxRecord is the brokers' default limit, less the overhead of a batch.
	maxRecord = 1_000_012
)

func (c Config) withDefaults() Config {
	c.Timeout = max(cmp.Or(c.Timeout, defaultTimeout), time.Second)
	return c
}

// Options returns the client options that all of Knatter's clients of these brokers
// share, followed by more.
func (c Config) Options(more ...kgo.Opt) []kgo.Opt {
	c = c.withDefaults()
	dialer := &net.Dialer{Timeout: 3 * time.Second}
	dial := dialer.DialContext
	if c.TLS != nil {
		dial = (&tls.Dialer{NetDialer: dialer, Config: c.TLS}).DialContext
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("knatter"),
		kgo.Dialer(dial),
		// Notice a hanging broker within the time that an append may take.
		kgo.ProduceRequestTimeout(c.Timeout / 2),
		kgo.RequestTimeoutOverhead(c.Timeout / 2),
		kgo.RetryTimeout(c.Timeout),
		kgo.RetryBackoffFn(backoff),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.MetadataMaxAge(time.Minute),
	}
	if c.SASL != nil {
		opts = append(opts, kgo.SASL(c.SASL))
	}
	if c.Uncompressed {
		opts = append(opts, kgo.ProducerBatchCompression(kgo.NoCompression()))
	}
	return append(opts, more...)
}

// backoff returns the pause before a request is retried. It is short, since people
// wait, and has jitter, since a broker that comes back finds all its clients waiting.
func backoff(tries int) time.Duration {
	d := min(50*time.Millisecond<<min(max(tries-1, 0), 10), time.Second)
	return d/2 + rand.N(d/2)
}

// Event decodes the event in a record of the log. Its stream is the record's key, and
// its sequence follows from the record's partition and offset; a signal has no
// sequence. All consumers of the log use it, and so skip what other programs wrote
// there that is not an event. Errors: Malformed, Invalid.
func (c Config) Event(r *kgo.Record) (chat.Event, error) {
	headers := make([]chat.Header, len(r.Headers))
	for i, h := range r.Headers {
		headers[i] = chat.Header{Key: h.Key, Value: h.Value}
	}
	e, err := chat.DecodeRecord(headers, r.Value)
	if err != nil {
		return chat.Event{}, err
	}
	switch {
	case len(r.Key) > 0:
		e.Stream = chat.StreamID(r.Key)
	case e.Stream == "":
		e.Stream = chat.StreamID(e.Room)
	}
	if !e.Addressed() {
		return chat.Event{}, chat.Errorf(chat.Invalid, "key and subject must be a room's id")
	}
	if e.Type.Signal() != (r.Topic == chat.TopicSignals) {
		return chat.Event{}, chat.Errorf(chat.Invalid, "%s does not belong in %s", e.Type.Short(), r.Topic)
	}
	if e.Type.Signal() {
		e.Sequence = 0
		return e, chat.CheckLogged(&e)
	}
	e.Sequence = c.SequenceAt(r.Partition, r.Offset)
	if err := chat.CheckLogged(&e); err != nil {
		return chat.Event{}, err
	}
	return e, nil
}

// SequenceAt returns the sequence of the record at a partition and an offset of
// chat.rooms.
func (c Config) SequenceAt(partition int32, offset int64) chat.Sequence {
	if len(c.Lineage.Generations) == 0 {
		return chat.SequenceAt(c.Generation, offset)
	}
	return c.Lineage.SequenceAt(partition, offset)
}

// keyed is the hash that Kafka clients use for keys by default (murmur2), so that other
// programs that append to the log choose the same partition for a room.
var keyed = kgo.StickyKeyPartitioner(nil).ForTopic(chat.TopicRooms)

func partitionOf(stream chat.StreamID, partitions int) int32 {
	return int32(keyed.Partition(&kgo.Record{Key: []byte(stream)}, partitions))
}

// partitioner chooses the partition of a record: deliveries name theirs, and everything
// else goes by its key. If chat.rooms gets more partitions while we run, rooms would
// move and their sequences go back, so from then on it refuses every record.
func (l *Log) partitioner() kgo.Partitioner {
	return kgo.BasicConsistentPartitioner(func(topic string) func(*kgo.Record, int) int {
		if topic == chat.TopicDeliveries {
			return func(r *kgo.Record, _ int) int { return int(r.Partition) }
		}
		return func(r *kgo.Record, n int) int {
			if topic == chat.TopicRooms && n != int(l.partitions.Load()) {
				return -1
			}
			return int(partitionOf(chat.StreamID(r.Key), n))
		}
	})
}

// failure gives an error of the client one of our kinds.
func failure(what string, err error) error {
	var own *chat.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return err
	case errors.Is(err, kerr.MessageTooLarge):
		return chat.Errorf(chat.TooLarge, "%s: %w", what, err)
	}
	return chat.Errorf(chat.Unavailable, "%s: %w", what, err)
}

func newClient(c Config, opts ...kgo.Opt) (*kgo.Client, error) {
	if len(c.Brokers) == 0 {
		return nil, chat.Errorf(chat.Invalid, "no brokers given")
	}
	client, err := kgo.NewClient(c.Options(opts...)...)
	if err != nil {
		return nil, chat.Errorf(chat.Invalid, "kafka client: %w", err)
	}
	return client, nil
}

// bounded limits ctx to the time that one request may take.
func (c Config) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.withDefaults().Timeout)
}
