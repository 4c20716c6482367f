package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"knatter.dev/chat"
)

const (
	// tailFetch is how much one request of a tail reads.
	tailFetch = 4 << 20
	// maxTail bounds the data of the events that one tail returns.
	maxTail = 64 << 20

	// The pause before a tail asks again.
	minTailPause = 20 * time.Millisecond
	maxTailPause = 320 * time.Millisecond

	// never is the committed offset of a group that has none.
	never = -1

	// Special timestamps of ListOffsets.
	atEnd   = -1
	atStart = -2
)

// place is a partition of chat.rooms and the broker that leads it.
type place struct {
	topic     [16]byte
	partition int32
	leader    int32
}

// Tail implements [chat.Log]; see [Log.TailEnd].
func (l *Log) Tail(ctx context.Context, stream chat.StreamID) ([]chat.Event, error) {
	events, _, err := l.TailEnd(ctx, stream)
	return events, err
}

// TailEnd implements [chat.Log]. What the persist group committed is asked for after the
// call began, and then where the log ends: whatever was acknowledged
// before lies below the end, and whatever lies below the commit is in the store.
// Only if there is something between is it fetched. While the partition has no
// leader, or one that does not know yet what was acknowledged, it is asked again.
//
// Errors: Unavailable, also when there is more of the stream than memory should
// be spent on, which takes a persist function that has been down for long.
func (l *Log) TailEnd(ctx context.Context, stream chat.StreamID) (events []chat.Event, end chat.Sequence, err error) {
	return l.TailBehind(ctx, stream, func(context.Context) error { return nil })
}

// TailBehind implements [chat.Log]. What the persist group committed is asked for before
// read is called, and where the log ends afterwards. Errors: as TailEnd, and those of
// read.
func (l *Log) TailBehind(ctx context.Context, stream chat.StreamID, read func(context.Context) error) (events []chat.Event, end chat.Sequence, err error) {
	var failed error // of read, which is not to be tried again
	err = l.ask(ctx, "tail", func(ctx context.Context, age time.Duration) (err error) {
		at, err := l.place(ctx, stream, age)
		if err != nil {
			return err
		}
		from, err := l.begin(ctx, at)
		if err != nil {
			return err
		}
		if failed = read(ctx); failed != nil {
			return nil
		}
		events, end, err = l.tail(ctx, stream, at, from)
		return err
	})
	return events, end, cmp.Or(failed, err)
}

// End is the least sequence that an event of the stream could get that is logged
// after the call. Errors: Unavailable.
func (l *Log) End(ctx context.Context, stream chat.StreamID) (end chat.Sequence, err error) {
	err = l.ask(ctx, "end", func(ctx context.Context, age time.Duration) error {
		at, err := l.place(ctx, stream, age)
		if err != nil {
			return err
		}
		offset, err := l.offset(ctx, at, atEnd)
		end = l.cfg.SequenceAt(at.partition, offset)
		return err
	})
	return end, err
}

// ask asks a partition's leader, again while there is none that knows; age is how
// old what is known of the topic may be.
func (l *Log) ask(ctx context.Context, what string, do func(ctx context.Context, age time.Duration) error) error {
	ctx, cancel := l.cfg.bounded(ctx)
	defer cancel()
	for age, pause := metadataAge, minTailPause; ; age, pause = 1, min(2*pause, maxTailPause) {
		err := do(ctx, age)
		var own *chat.Error
		if err == nil || errors.As(err, &own) {
			return err
		}
		select {
		case <-ctx.Done():
			return failure(what, err)
		case <-time.After(pause):
		}
	}
}

// begin is the offset from which on the event store may lack something of a partition.
func (l *Log) begin(ctx context.Context, at place) (int64, error) {
	all, err := l.committed(ctx, at.topic, at.partition)
	if err != nil {
		return 0, err
	}
	if from := all[at.partition]; from >= 0 {
		return from, nil
	}
	return l.offset(ctx, at, atStart)
}

// tail are a stream's events from an offset of its partition to the end of that.
func (l *Log) tail(ctx context.Context, stream chat.StreamID, at place, from int64) ([]chat.Event, chat.Sequence, error) {
	end, err := l.offset(ctx, at, atEnd)
	if err != nil {
		return nil, 0, err
	}
	var events []chat.Event
	size := 0
	err = l.between(ctx, at, from, end, func(r *kgo.Record) error {
		if string(r.Key) != string(stream) {
			return nil
		}
		e, err := l.cfg.Event(r)
		if err != nil {
			return nil // for the dead letters
		}
		if size += len(r.Value); size > maxTail {
			return chat.Errorf(chat.Unavailable, "persist is over %d bytes behind", maxTail)
		}
		events = append(events, e)
		return nil
	})
	return events, l.cfg.SequenceAt(at.partition, end), err
}

// between fetches a partition's records from an offset up to, not including, end, and
// calls take with each.
func (l *Log) between(ctx context.Context, at place, from, end int64, take func(*kgo.Record) error) error {
	for from < end {
		records, next, err := l.fetch(ctx, at, from)
		if errors.Is(err, kerr.OffsetOutOfRange) {
			start, err := l.offset(ctx, at, atStart)
			if err != nil {
				return err
			}
			if start <= from {
				return kerr.OffsetOutOfRange // the log was replaced: its end is below the commit
			}
			slog.ErrorContext(ctx, "the log was trimmed before persist had read it", slog.Int("partition", int(at.partition)), slog.Int64("committed", from), slog.Int64("start", start))
			from = start
			continue
		}
		if err != nil {
			return err
		}
		if next <= from {
			return fmt.Errorf("nothing at offset %d of partition %d, before its end %d", from, at.partition, end)
		}
		from = next
		for _, r := range records {
			if r.Offset >= end {
				break
			}
			if err := take(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetch reads records from an offset on, and where the next fetch continues.
func (l *Log) fetch(ctx context.Context, at place, from int64) ([]*kgo.Record, int64, error) {
	req := kmsg.NewFetchRequest()
	req.MinBytes = 1
	req.MaxWaitMillis = 0
	req.MaxBytes = tailFetch
	t := kmsg.NewFetchRequestTopic()
	t.Topic = chat.TopicRooms
	t.TopicID = at.topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition = at.partition
	p.FetchOffset = from
	p.PartitionMaxBytes = tailFetch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)

	answer, err := l.client.Broker(int(at.leader)).Request(ctx, &req)
	if err != nil {
		return nil, 0, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, 0, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, 0, errNoAnswer
	}
	opts := kgo.ProcessFetchPartitionOpts{Topic: chat.TopicRooms, Partition: at.partition, Offset: from}
	fetched, next := kgo.ProcessFetchPartition(opts, &resp.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	return fetched.Records, next, fetched.Err
}

var errNoAnswer = errors.New("the broker did not answer for the partition")

// place finds a stream's partition as kgo's producer does, see [partitioner].
func (l *Log) place(ctx context.Context, stream chat.StreamID, age time.Duration) (place, error) {
	return l.led(ctx, partitionOf(stream, int(l.partitions.Load())), age)
}

// led is a partition whose leader is known.
func (l *Log) led(ctx context.Context, partition int32, age time.Duration) (place, error) {
	all, err := l.places(ctx, age)
	if err != nil {
		return place{}, err
	}
	for _, at := range all {
		if at.partition != partition {
			continue
		}
		if at.leader < 0 {
			return place{}, kerr.LeaderNotAvailable
		}
		return at, nil
	}
	return place{}, kerr.UnknownTopicOrPartition
}

// places are all partitions, with the leaders that are known.
func (l *Log) places(ctx context.Context, age time.Duration) ([]place, error) {
	t, err := l.topic(ctx, chat.TopicRooms, age)
	if err != nil {
		return nil, err
	}
	if len(t.Partitions) != int(l.partitions.Load()) {
		return nil, chat.Errorf(chat.Unavailable, "%s had %d partitions and now has %d", chat.TopicRooms, l.partitions.Load(), len(t.Partitions))
	}
	all := make([]place, len(t.Partitions))
	for i, p := range t.Partitions {
		all[i] = place{topic: t.TopicID, partition: p.Partition, leader: p.Leader}
	}
	return all, nil
}

// committed are the offsets up to which the persist group is done with partitions, or
// never.
func (l *Log) committed(ctx context.Context, topic [16]byte, partitions ...int32) (map[int32]int64, error) {
	t := kmsg.NewOffsetFetchRequestGroupTopic()
	t.Topic = chat.TopicRooms
	t.TopicID = topic
	t.Partitions = partitions
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = chat.Persist.Group // which commits what the event store holds
	g.Topics = append(g.Topics, t)
	req := kmsg.NewOffsetFetchRequest()
	req.Groups = append(req.Groups, g)

	resp, err := req.RequestWith(ctx, l.client)
	if err != nil {
		return nil, err
	}
	if len(resp.Groups) != 1 {
		return nil, errNoAnswer
	}
	answered := resp.Groups[0]
	if err := kerr.ErrorForCode(answered.ErrorCode); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, err
	}
	at := make(map[int32]int64, len(partitions))
	for _, p := range partitions {
		at[p] = never
	}
	for _, t := range answered.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, err
			}
			at[p.Partition] = p.Offset
		}
	}
	return at, nil
}

// offset is where a partition starts or ends.
func (l *Log) offset(ctx context.Context, at place, timestamp int64) (int64, error) {
	all, err := l.offsets(ctx, at.leader, timestamp, at.partition)
	return all[at.partition], err
}

// offsets are where partitions of one leader start or end.
func (l *Log) offsets(ctx context.Context, leader int32, timestamp int64, partitions ...int32) (map[int32]int64, error) {
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = chat.TopicRooms
	for _, partition := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition = partition
		p.Timestamp = timestamp
		t.Partitions = append(t.Partitions, p)
	}
	req := kmsg.NewListOffsetsRequest()
	req.Topics = append(req.Topics, t)

	answer, err := l.client.Broker(int(leader)).Request(ctx, &req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.ListOffsetsResponse)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != len(partitions) {
		return nil, errNoAnswer
	}
	at := make(map[int32]int64, len(partitions))
	for _, p := range resp.Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return nil, err
		}
		at[p.Partition] = p.Offset
	}
	return at, nil
}
