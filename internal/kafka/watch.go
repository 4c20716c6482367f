package kafka

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"knatter.dev/chat"
)

const watchEvery = time.Second

// Watch looks, once a second until ctx ends, whether the log still is what
// [Recognize] found. Errors: Conflict when it is another one, has lost its end, or
// began another generation: then what this process takes for the sequence of an event
// no longer is, and it has to start anew. While log or store are away it waits.
//
// Until then nothing is appended to another log, nor read from it: the client knows
// the topic by its identity.
func (l *Log) Watch(ctx context.Context, store chat.ProgressStore) error {
	w := watch{known: l.cfg.Lineage, admin: kadm.NewClient(l.client), store: store}
	for ticks := time.NewTicker(watchEvery); ; {
		select {
		case <-ctx.Done():
			ticks.Stop()
			return nil
		case <-ticks.C:
		}
		err := w.look(ctx)
		if chat.KindOf(err) == chat.Conflict {
			return err
		}
		if err != nil {
			slog.DebugContext(ctx, "the log was not looked at", slog.Any("error", err))
		}
	}
}

type watch struct {
	known chat.Lineage
	admin *kadm.Client
	store chat.ProgressStore
	ends  []int64
}

func (w *watch) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	has, err := extentOf(ctx, w.admin)
	if err != nil {
		return failure("offsets of "+chat.TopicRooms, err)
	}
	if has.log != w.known.Log {
		return chat.Errorf(chat.Conflict, "%s is another one than at the start", chat.TopicRooms)
	}
	for partition, end := range has.ends {
		if partition < len(w.ends) && end < w.ends[partition] {
			return chat.Errorf(chat.Conflict, "partition %d of %s ended at %d and now ends at %d", partition, chat.TopicRooms, w.ends[partition], end)
		}
	}
	w.ends = has.ends
	known, err := w.store.Lineage(ctx)
	if err != nil {
		return err
	}
	if !known.Equal(w.known) {
		return chat.Errorf(chat.Conflict, "the log's generations have changed since the start")
	}
	return nil
}
