package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"knatter.dev/chat"
)

type topic struct {
	name       string
	partitions int32             // when it is made
	configs    map[string]string // when it is made
	kept       map[string]string // when it is found otherwise, too
	replicated bool              // an ack says that two disks have it, where there are three replicas
}

const minInSync = "min.insync.replicas"

// topics are the topics of a log as they should be.
//
// About retention: Kafka and Redpanda drop whole closed segments, whoever has yet to
// read them, which is why [Log] watches how far persist and index are. The embedded
// log (kfake) would drop single batches, every log.cleaner.backoff.ms, and applies its
// default of 7 days to every topic that doesn't say otherwise; of chat.rooms it keeps
// everything, and internal/embedded drops what has been read. It frees a segment's
// file when its last batch is gone; so segments are a fraction of what is kept. A
// partition that has lost all its batches restarts at offset 0 when the process is
// killed. Sequences are offsets: chat.rooms must never lose its newest batch. It is
// limited by size only, which always leaves that one, as a batch is smaller than the
// limit. The other topics' offsets mean nothing beyond a restart and may expire by
// time.
func (c Config) topics() []topic {
	kept := map[string]string{"cleanup.policy": "delete", "retention.ms": "-1"}
	size := c.sized()
	rooms := maps.Clone(kept)
	maps.Copy(rooms, size)
	kept["unclean.leader.election.enable"] = "false" // where it is the default, saying so is not always allowed
	if c.RetentionBytes != 0 {
		maps.Copy(kept, size)
	}
	partitions := cmp.Or(c.Partitions, defaultPartitions)
	return []topic{
		{name: chat.TopicRooms, partitions: partitions, configs: rooms, kept: kept, replicated: true},
		{name: chat.TopicSignals, partitions: partitions, configs: expiring(time.Minute, 16<<20)},
		{name: chat.TopicDeliveries, partitions: cmp.Or(c.DeliveryPartitions, defaultPartitions), configs: expiring(10*time.Minute, 64<<20)},
		{name: chat.TopicDead, partitions: 1, configs: expiring(90*24*time.Hour, 256<<20), replicated: true},
	}
}

// Keeps is how many bytes of each partition of chat.rooms are kept, 0 for all.
func (c Config) Keeps() int64 {
	keep := cmp.Or(c.RetentionBytes, defaultRetentionBytes)
	if keep < 0 {
		return 0
	}
	return max(keep, 4*maxRecord)
}

// sized are the settings for the size of chat.rooms.
func (c Config) sized() map[string]string {
	keep := c.Keeps()
	if keep == 0 {
		return map[string]string{"retention.bytes": "-1", "segment.bytes": strconv.Itoa(64 << 20)}
	}
	retention := strconv.FormatInt(keep, 10)
	if c.Trimmed {
		retention = "-1"
	}
	return map[string]string{
		"retention.bytes": retention,
		"segment.bytes":   strconv.FormatInt(min(max(keep/4, 1<<20), 64<<20), 10),
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

// EnsureTopics creates the topics that are missing. Of those that exist:
//
//   - chat.rooms must have the configured partitions: more of them would move
//     rooms, so that is a new generation of the log. chat.deliveries gets more when
//     there are fewer than configured. Where nothing is configured, what there is
//     is right.
//   - chat.rooms and chat.dead must have at least the configured replicas, and of
//     three or more, two must have an event before it is acknowledged.
//   - chat.rooms expires by size alone, and has no unclean elections; its size is
//     set if one is configured.
//   - All other settings are left to who has made them so.
//
// It begins each empty partition of chat.rooms with one hidden event, so that
// offset 0 is never a room's event and sequence 0 is before everything. It is
// idempotent; processes that start at the same time may all call it. Brokers that
// are just starting are waited for, for a while.
//
// Errors: Invalid when a topic is not as it must be and that can't be changed from
// here, or the brokers refuse us; Unavailable.
func EnsureTopics(ctx context.Context, c Config) error {
	c = c.withDefaults()
	client, err := newClient(c, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(c.Timeout))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*c.Timeout)
	defer cancel()
	e := ensuring{cfg: c, client: client, admin: kadm.NewClient(client)}
	for _, t := range c.topics() {
		if err := patiently(ctx, func() error { return e.topic(ctx, t) }); err != nil {
			return startFailure("topic "+t.name, err)
		}
	}
	return startFailure("beginning "+chat.TopicRooms, patiently(ctx, func() error { return begin(ctx, client, e.admin, c) }))
}

// patiently does what may fail because brokers are just starting, elect a leader,
// or have not told each other yet.
func patiently(ctx context.Context, do func() error) error {
	for {
		err := do()
		// With fewer brokers than replicas, the others may be on their way.
		if err == nil || !kerr.IsRetriable(err) && !errors.Is(err, kerr.InvalidReplicationFactor) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

type ensuring struct {
	cfg    Config
	client *kgo.Client
	admin  *kadm.Client
}

func (e ensuring) topic(ctx context.Context, t topic) error {
	found, err := e.find(ctx, t.name)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if err := e.create(ctx, t); err != nil {
			return err
		}
		found, err = e.find(ctx, t.name)
	}
	if err != nil {
		return err
	}
	if err := e.partitions(ctx, t, len(found.Partitions)); err != nil {
		return err
	}
	kept := maps.Clone(t.kept)
	if t.replicated {
		replicas := math.MaxInt
		for _, p := range found.Partitions {
			replicas = min(replicas, len(p.Replicas))
		}
		if replicas < int(e.cfg.Replication) {
			return chat.Errorf(chat.Invalid, "it has %d replicas, and %d are configured: reassign its partitions, or configure less", replicas, e.cfg.Replication)
		}
		if replicas >= 3 {
			if kept == nil {
				kept = make(map[string]string)
			}
			kept[minInSync] = "2"
		}
	}
	return e.keep(ctx, t.name, kept)
}

// find asks for a topic as it is now, not as the client remembers it.
func (e ensuring) find(ctx context.Context, name string) (kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(name)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, e.client)
	switch {
	case err != nil:
		return kmsg.MetadataResponseTopic{}, err
	case len(resp.Topics) != 1:
		return kmsg.MetadataResponseTopic{}, errNoAnswer
	}
	return resp.Topics[0], kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}

func (e ensuring) create(ctx context.Context, t topic) error {
	configs := make(map[string]*string, len(t.configs))
	for k, v := range t.configs {
		configs[k] = &v
	}
	answer, err := e.admin.CreateTopic(ctx, t.partitions, cmp.Or(e.cfg.Replication, -1), configs, t.name)
	switch {
	case err == nil:
		slog.InfoContext(ctx, "topic made", slog.String("topic", t.name), slog.Int("partitions", int(t.partitions)), slog.Int("replicas", int(answer.ReplicationFactor)))
		return nil
	case errors.Is(err, kerr.TopicAlreadyExists):
		return nil // by another process
	case answer.ErrMessage != "":
		return fmt.Errorf("%w (%s)", err, answer.ErrMessage)
	}
	return err
}

// partitions checks how many partitions there are.
func (e ensuring) partitions(ctx context.Context, t topic, found int) error {
	switch t.name {
	case chat.TopicRooms:
		return e.cfg.roomsPartitions(found)
	case chat.TopicDeliveries:
		if found >= int(e.cfg.DeliveryPartitions) {
			return nil
		}
		answers, err := e.admin.UpdatePartitions(ctx, int(e.cfg.DeliveryPartitions), t.name)
		if err == nil {
			err = answers.Error()
		}
		if errors.Is(err, kerr.InvalidPartitions) {
			return nil // another process was faster
		}
		return err
	}
	return nil
}

// roomsPartitions checks the number of partitions of chat.rooms. Errors: Invalid.
func (c Config) roomsPartitions(found int) error {
	if c.Partitions == 0 || found == int(c.Partitions) {
		return nil
	}
	return chat.Errorf(chat.Invalid, "it has %d partitions, and %d are configured: another number of partitions moves rooms, so it takes a new log with a higher generation", found, c.Partitions)
}

// keep sets those settings that differ. What the brokers don't report they don't
// have: Redpanda's acks=all needs no min.insync.replicas.
func (e ensuring) keep(ctx context.Context, name string, kept map[string]string) error {
	if len(kept) == 0 {
		return nil
	}
	described, err := e.admin.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return err
	}
	found, err := described.On(name, nil)
	if err == nil {
		err = found.Err
	}
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		slog.WarnContext(ctx, "the topic's settings cannot be checked", slog.String("topic", name), slog.Any("error", err))
		return nil
	}
	if err != nil {
		return err
	}
	var alter []kadm.AlterConfig
	for _, config := range found.Configs {
		want, ok := kept[config.Key]
		if !ok || is(config.Key, config.MaybeValue(), want) {
			continue
		}
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: config.Key, Value: &want})
		slog.InfoContext(ctx, "topic altered", slog.String("topic", name), slog.String("setting", config.Key), slog.String("from", config.MaybeValue()), slog.String("to", want))
	}
	if len(alter) == 0 {
		return nil
	}
	altered, err := e.admin.AlterTopicConfigs(ctx, alter, name)
	if err != nil {
		return err
	}
	answer, err := altered.On(name, nil)
	if err == nil {
		err = answer.Err
	}
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		return chat.Errorf(chat.Invalid, "its %s must be %s, and may not be set by us: %w", alter[0].Name, *alter[0].Value, err)
	}
	return err
}

// is reports whether a setting is as it should be, or stricter.
func is(key, value, want string) bool {
	if key == minInSync {
		n, err := strconv.Atoi(value)
		return err == nil && n >= 2
	}
	return value == want
}

// begin appends the hidden first event to each empty partition of chat.rooms.
func begin(ctx context.Context, client *kgo.Client, admin *kadm.Client, c Config) error {
	ends, err := admin.ListEndOffsets(ctx, chat.TopicRooms)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	var records []*kgo.Record
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			return
		}
		r := record(hidden(fmt.Sprintf("begin-%d-%d", c.Generation, o.Partition), "log"))
		r.Partition = o.Partition
		records = append(records, r)
	})
	return client.ProduceSync(ctx, records...).FirstErr()
}

// hidden is an event of the log's own, with which nobody does anything.
func hidden(id string, stream chat.StreamID) *chat.Event {
	return &chat.Event{
		ID:     id,
		Source: "/log",
		Type:   chat.RouteClosed,
		Room:   chat.RoomID(stream),
		Stream: stream,
		Time:   chat.Now(),
		Data:   []byte(`{"connector":-1}`),
	}
}
