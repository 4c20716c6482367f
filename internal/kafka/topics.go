package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
)

type topic struct {
	name       string
	partitions int32
	configs    map[string]string
}

// topics are the topics of a log as they should be.
//
// About retention: Kafka and Redpanda drop whole closed segments, the embedded
// log (kfake) drops single batches, every log.cleaner.backoff.ms (an hour unless
// the broker is told otherwise), and frees a segment's file when its last batch
// is gone; so segments are a fraction of what is kept. kfake applies its default
// of 7 days to every topic that doesn't say otherwise, and a partition that has
// lost all its batches restarts at offset 0 when the process is killed. Sequences
// are offsets: chat.rooms must never lose its newest batch. It is limited by size
// only, which always leaves that one, as a batch is smaller than the limit. The
// other topics' offsets mean nothing beyond a restart and may expire by time.
func (c Config) topics() []topic {
	rooms := map[string]string{
		"cleanup.policy":  "delete",
		"retention.ms":    "-1",
		"retention.bytes": "-1",
		"segment.bytes":   strconv.Itoa(64 << 20),
	}
	if c.RetentionBytes > 0 {
		keep := max(c.RetentionBytes, 4*maxRecord)
		rooms["retention.bytes"] = strconv.FormatInt(keep, 10)
		rooms["segment.bytes"] = strconv.FormatInt(min(max(keep/4, 1<<20), 64<<20), 10)
	}
	if c.Replication >= 3 {
		rooms["min.insync.replicas"] = "2" // an ack says that two disks have it
	}
	return []topic{
		{chat.TopicRooms, c.Partitions, rooms},
		{chat.TopicSignals, c.Partitions, expiring(time.Minute, 16<<20)},
		{chat.TopicDeliveries, c.DeliveryPartitions, expiring(10*time.Minute, 64<<20)},
		{chat.TopicDead, 1, expiring(90*24*time.Hour, 256<<20)},
	}
}

func expiring(after time.Duration, bytes int) map[string]string {
	return map[string]string{
		"cleanup.policy":  "delete",
		"retention.ms":    strconv.FormatInt(after.Milliseconds(), 10),
		"retention.bytes": strconv.Itoa(bytes),
		"segment.bytes":   strconv.Itoa(bytes / 4),
	}
}

// EnsureTopics creates the topics that are missing, and sets the retention of
// all; the partitions of those that exist stay as they are. It begins each empty
// partition of chat.rooms with one hidden event, so that offset 0 is never a
// room's event and sequence 0 is before everything. It is idempotent; processes
// that start at the same time may all call it.
//
// Errors: Unavailable.
func EnsureTopics(ctx context.Context, c Config) error {
	c = c.withDefaults()
	client, err := newClient(c, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(c.Timeout))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)

	for _, t := range c.topics() {
		if err := ensure(ctx, admin, c, t); err != nil {
			return chat.Errorf(chat.Unavailable, "topic %s: %w", t.name, err)
		}
	}
	if err := begin(ctx, client, admin, c); err != nil {
		return chat.Errorf(chat.Unavailable, "beginning %s: %w", chat.TopicRooms, err)
	}
	return nil
}

func ensure(ctx context.Context, admin *kadm.Client, c Config, t topic) error {
	configs := make(map[string]*string, len(t.configs))
	for k, v := range t.configs {
		configs[k] = &v
	}
	_, err := admin.CreateTopic(ctx, t.partitions, c.Replication, configs, t.name)
	if !errors.Is(err, kerr.TopicAlreadyExists) {
		return err
	}
	var alter []kadm.AlterConfig
	for k, v := range configs {
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: k, Value: v})
	}
	altered, err := admin.AlterTopicConfigs(ctx, alter, t.name)
	if err != nil {
		return err
	}
	_, err = altered.On(t.name, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	return err
}

// begin appends the hidden first event to each empty partition of chat.rooms.
func begin(ctx context.Context, client *kgo.Client, admin *kadm.Client, c Config) error {
	ends, err := endOffsets(ctx, admin, chat.TopicRooms)
	if err != nil {
		return err
	}
	var records []*kgo.Record
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			return
		}
		e := chat.Event{
			ID:     fmt.Sprintf("begin-%d-%d", c.Generation, o.Partition),
			Source: "/log",
			Type:   chat.RouteClosed,
			Room:   "log",
			Stream: "log",
			Time:   chat.Now(),
			Data:   []byte(`{"connector":-1}`),
		}
		r := record(&e)
		r.Partition = o.Partition
		records = append(records, r)
	})
	return client.ProduceSync(ctx, records...).FirstErr()
}

// endOffsets waits until a topic that was just created has leaders.
func endOffsets(ctx context.Context, admin *kadm.Client, topic string) (kadm.ListedOffsets, error) {
	for {
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err == nil {
			err = ends.Error()
		}
		if err == nil || !kerr.IsRetriable(err) {
			return ends, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
