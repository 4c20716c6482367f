package kafka

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
)

// ErrGap means that deliveries were lost before they were read: the connector was away
// for longer than they are kept, or the log lost them. Subscribers have to resume from
// history.
var ErrGap = errors.New("deliveries were lost before they were read")

const (
	// deliveryFetch is the maximum size of what a connector reads ahead.
	deliveryFetch = 8 << 20

	// deliveryPause is the minimum time between two polls. A delivery after a quiet
	// moment is not delayed; under load, what has arrived meanwhile makes one batch.
	deliveryPause = 2 * time.Millisecond
)

// FollowDeliveries consumes a connector's deliveries from their end at the call. It
// calls ready once that position is fixed: everything delivered afterwards will be
// read. Then one goroutine calls handle with what has arrived, in order. Memory holds
// at most what is being handled and one fetch.
//
// It returns ctx's error, ErrGap, or an error of kind Unavailable. After either of the
// last two the caller starts over.
func FollowDeliveries(ctx context.Context, c Config, connector int, ready func(), handle func([]chat.Delivery)) error {
	c = c.withDefaults()
	end, err := deliveriesEnd(ctx, c, int32(connector))
	if err != nil {
		return err
	}
	client, err := newClient(c,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			chat.TopicDeliveries: {int32(connector): kgo.NewOffset().At(end)},
		}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxBytes(deliveryFetch),
		kgo.FetchMaxPartitionBytes(deliveryFetch),
		kgo.MaxConcurrentFetches(1),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	ready()

	for limiter := NewPollLimiter(deliveryPause); ; limiter.Wait(ctx) {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, failed := range fetches.Errors() {
			var lost *kgo.ErrDataLoss
			if errors.Is(failed.Err, kerr.OffsetOutOfRange) || errors.As(failed.Err, &lost) {
				return ErrGap
			}
			return chat.Errorf(chat.Unavailable, "deliveries of connector %d: %w", connector, failed.Err)
		}
		deliveries := make([]chat.Delivery, 0, fetches.NumRecords())
		fetches.EachRecord(func(r *kgo.Record) {
			d, err := delivery(r)
			if err != nil {
				slog.WarnContext(ctx, "skipping an invalid delivery", slog.Int("connector", connector), slog.Int64("offset", r.Offset), slog.Any("error", err))
				return
			}
			deliveries = append(deliveries, d)
		})
		if len(deliveries) > 0 {
			handle(deliveries)
		}
	}
}

func deliveriesEnd(ctx context.Context, c Config, partition int32) (int64, error) {
	client, err := newClient(c)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, chat.TopicDeliveries)
	if err != nil {
		return 0, chat.Errorf(chat.Unavailable, "end of %s: %w", chat.TopicDeliveries, err)
	}
	end, ok := ends.Lookup(chat.TopicDeliveries, partition)
	if !ok {
		return 0, chat.Errorf(chat.Unavailable, "%s has no partition %d; each connector needs one", chat.TopicDeliveries, partition)
	}
	if end.Err != nil {
		return 0, chat.Errorf(chat.Unavailable, "end of %s: %w", chat.TopicDeliveries, end.Err)
	}
	return end.Offset, nil
}

func delivery(r *kgo.Record) (chat.Delivery, error) {
	d := chat.Delivery{Connector: int(r.Partition), Frame: r.Value}
	for _, h := range r.Headers {
		switch h.Key {
		case headerStream:
			d.Stream = chat.StreamID(h.Value)
		case headerType:
			d.Type = chat.Type(h.Value)
		case headerOnly:
			d.Only = chat.UserID(h.Value)
		case headerSequence:
			n, err := strconv.ParseInt(string(h.Value), 10, 64)
			if err != nil {
				return d, err
			}
			d.Sequence = chat.Sequence(n)
		}
	}
	if d.Stream == "" || d.Type == "" || (d.Sequence == 0) != d.Type.Signal() {
		return d, errors.New("stream and type are required, and a sequence of all but signals")
	}
	return d, nil
}
