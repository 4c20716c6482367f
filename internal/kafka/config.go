// Package kafka is the log and the deliveries over franz-go: events are records
// of the CloudEvents Kafka binding, and a stream is one key, so one partition, so
// one order.
package kafka

import (
	"cmp"
	"context"
	"errors"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
)

// Config says where the log is and how its topics are made. Zero values are the
// defaults.
type Config struct {
	Brokers            []string      // host:port; required
	Partitions         int32         // of chat.rooms and chat.signals; default 16
	DeliveryPartitions int32         // of chat.deliveries, the most connectors there can be; default 16
	Replication        int16         // default: the brokers' own
	Generation         int           // of the log, 0 to 31; the upper bits of every sequence
	RetentionBytes     int64         // kept of each partition of chat.rooms; default 256 MiB, negative for everything
	Timeout            time.Duration // after which an append fails as Unavailable, at least 1 s; default 10 s
}

const (
	defaultPartitions     = 16
	defaultRetentionBytes = 256 << 20
	defaultTimeout        = 10 * time.Second

	// maxRecord is what the brokers take by default, less the batch's overhead.
	maxRecord = 1_000_012
)

func (c Config) withDefaults() Config {
	c.Partitions = cmp.Or(c.Partitions, defaultPartitions)
	c.DeliveryPartitions = cmp.Or(c.DeliveryPartitions, defaultPartitions)
	c.Replication = cmp.Or(c.Replication, -1)
	c.RetentionBytes = cmp.Or(c.RetentionBytes, defaultRetentionBytes)
	c.Timeout = max(cmp.Or(c.Timeout, defaultTimeout), time.Second)
	return c
}

// Options are the client options that all of Knatter's clients of these brokers
// share, followed by more.
func (c Config) Options(more ...kgo.Opt) []kgo.Opt {
	c = c.withDefaults()
	dialer := net.Dialer{Timeout: 3 * time.Second}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("knatter"),
		kgo.Dialer(dialer.DialContext),
		// A broker that hangs is noticed within the time that an append may take.
		kgo.ProduceRequestTimeout(c.Timeout / 2),
		kgo.RequestTimeoutOverhead(c.Timeout / 2),
		kgo.RetryTimeout(c.Timeout),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.MetadataMaxAge(time.Minute),
	}
	return append(opts, more...)
}

// Event reads the event in a record of the log; its stream is the record's key,
// its sequence the record's place. Errors: Malformed, Invalid.
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
		e.Stream = chat.RoomID(r.Key)
	case e.Stream == "":
		e.Stream = e.Room
	}
	if !e.Stream.Valid() || !e.Room.Valid() {
		return chat.Event{}, chat.Errorf(chat.Invalid, "key and subject must be a room's id")
	}
	e.Sequence = chat.SequenceAt(c.Generation, r.Offset)
	return e, nil
}

// keyed is the hash that every Kafka client uses for keys by default (murmur2),
// so that other programs that append to the log place a room as we do.
var keyed = kgo.StickyKeyPartitioner(nil).ForTopic(chat.TopicRooms)

func partitionOf(stream chat.RoomID, partitions int) int32 {
	return int32(keyed.Partition(&kgo.Record{Key: []byte(stream)}, partitions))
}

// partitioner places deliveries where they say and all else by key.
func partitioner() kgo.Partitioner {
	return kgo.BasicConsistentPartitioner(func(topic string) func(*kgo.Record, int) int {
		if topic == chat.TopicDeliveries {
			return func(r *kgo.Record, _ int) int { return int(r.Partition) }
		}
		return func(r *kgo.Record, n int) int { return int(partitionOf(chat.RoomID(r.Key), n)) }
	})
}

// failure gives a client's error the kind that it has for us.
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

// bounded limits ctx to the time that a request may take.
func (c Config) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.withDefaults().Timeout)
}
