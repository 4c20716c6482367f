package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"knatter.dev/chat"
)

// memberTimeout is how long a member that was killed counts, and some more.
const memberTimeout = 20 * time.Second

// align takes the groups of functions back to where their stores are in the log.
func align(ctx context.Context, c Config, store chat.ProgressStore, noted bool) error {
	client, err := newClient(c)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, memberTimeout+c.withDefaults().Timeout)
	defer cancel()
	progress, err := store.Progress(ctx)
	if err != nil {
		return err
	}
	a := alignment{cfg: c, admin: kadm.NewClient(client), noted: noted, done: make(map[string]map[int32]chat.Sequence)}
	for _, p := range progress {
		if a.done[p.Store] == nil {
			a.done[p.Store] = make(map[int32]chat.Sequence)
		}
		a.done[p.Store][p.Partition] = p.Done
	}
	if err := patiently(ctx, func() (err error) { a.has, err = extentOf(ctx, a.admin); return err }); err != nil {
		return startFailure("offsets of "+chat.TopicRooms, err)
	}
	for _, f := range chat.EventFunctions {
		if err := a.group(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

type alignment struct {
	cfg   Config
	admin *kadm.Client
	has   extent
	noted bool
	done  map[string]map[int32]chat.Sequence // by store and partition
}

func (a *alignment) group(ctx context.Context, f chat.EventFunction) error {
	committed, err := committedOffsets(ctx, a.admin, f.Group)
	if err != nil {
		return startFailure("group "+f.Group, err)
	}
	back := make(kadm.Offsets)
	for partition := range int32(len(a.has.ends)) {
		to := a.target(ctx, f, partition)
		if at, ok := committed[partition]; ok && to < at {
			slog.InfoContext(ctx, "going back in the log to where the store is", slog.String("function", f.Name), slog.Int("partition", int(partition)), slog.Int64("from", at), slog.Int64("to", to))
			back.AddOffset(chat.TopicRooms, partition, to, -1)
		}
	}
	if len(back) == 0 {
		return nil
	}
	return goBack(ctx, a.admin, f.Group, back)
}

// target is the offset in a partition from which on a function has something to do.
func (a *alignment) target(ctx context.Context, f chat.EventFunction, partition int32) int64 {
	start, end := a.has.starts[partition], a.has.ends[partition]
	done, known := a.done[f.Store][partition]
	var to int64
	switch {
	case known:
		to = min(a.cfg.Lineage.Offset(partition, done), end)
	case f.Store == "" || !a.noted:
		to = end // wherever the group is
	}
	if to < start {
		slog.ErrorContext(ctx, "the log no longer has what the store lacks", slog.String("function", f.Name), slog.String("store", f.Store),
			slog.Int("partition", int(partition)), slog.Int64("from", to), slog.Int64("to", start), slog.String("help", help[f.Store]))
	}
	return max(to, start)
}

// help is what to do when the log no longer has what a store lacks.
var help = map[string]string{
	chat.StoreEvents: "restore a backup of the store",
	chat.StoreIndex:  "rebuild the index: --reindex",
}

// goBack commits offsets of a group, as soon as it has no members: one that was
// killed counts for some seconds.
func goBack(ctx context.Context, admin *kadm.Client, group string, to kadm.Offsets) error {
	what := fmt.Sprintf("taking %s back", group)
	for {
		members, err := membersOf(ctx, admin, group)
		switch {
		case err != nil:
			return startFailure(what, err)
		case members == 0:
			return startFailure(what, admin.CommitAllOffsets(ctx, group, to))
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return chat.Errorf(chat.Conflict, "%s: it has %d members, stop what follows the log for it", what, members)
		}
	}
}
