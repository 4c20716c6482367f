package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"knatter.dev/chat"
)

// Latest returns the latest time among the last events of all partitions of chat.rooms,
// or zero if there are none. Errors: Unavailable, even if only one partition is.
func (l *Log) Latest(ctx context.Context) (latest time.Time, err error) {
	ctx, cancel := l.cfg.bounded(ctx)
	defer cancel()
	t, err := l.topic(ctx, chat.TopicRooms, metadataAge)
	if err != nil {
		return latest, failure("topic "+chat.TopicRooms, err)
	}
	for _, p := range t.Partitions {
		last, err := l.last(ctx, place{topic: t.TopicID, partition: p.Partition, leader: p.Leader})
		if err != nil {
			return latest, failure("the last event", err)
		}
		if last.After(latest) {
			latest = last
		}
	}
	return latest, nil
}

// last returns the time of a partition's last event, or zero.
func (l *Log) last(ctx context.Context, at place) (last time.Time, err error) {
	end, err := l.offset(ctx, at, atEnd)
	if err != nil || end == 0 {
		return last, err
	}
	records, _, err := l.fetch(ctx, at, end-1)
	if errors.Is(err, kerr.OffsetOutOfRange) {
		return last, nil // everything has expired
	}
	for _, r := range records {
		if e, err := l.cfg.Event(r); err == nil && e.Time.After(last) {
			last = e.Time
		}
	}
	return last, err
}
