package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
)

// memberTimeout is a bit longer than a killed member still counts as a member.
const memberTimeout = 20 * time.Second

// align rewinds the groups of functions to where their stores are in the log.
func align(ctx context.Context, c Config, store chat.ProgressStore, functions []chat.EventFunction) error {
	client, err := newClient(c)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, memberTimeout+c.withDefaults().Timeout)
	defer cancel()
	a := alignment{cfg: c, admin: kadm.NewClient(client), log: &Log{client: client, cfg: c}, store: store}
	if err := patiently(ctx, func() (err error) { a.has, err = extentOf(ctx, a.admin); return err }); err != nil {
		return startFailure("offsets of "+chat.TopicRooms, err)
	}
	a.log.partitions.Store(int32(len(a.has.ends)))
	for _, f := range functions {
		if err := a.group(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

type alignment struct {
	cfg   Config
	admin *kadm.Client
	log   *Log
	store chat.ProgressStore
	has   extent
	dead  map[deadLetter]bool // nil until they have been read
}

// deadLetter is an event that a function has refused for good. function is "" if the
// letter does not name one.
type deadLetter struct {
	function string
	sequence chat.Sequence
}

// isDead reports whether an event is among the dead letters: the function is done with
// it, though no store has it. Errors: Unavailable.
func (a *alignment) isDead(ctx context.Context, f chat.EventFunction, s chat.Sequence) (bool, error) {
	if a.dead == nil {
		dead := make(map[deadLetter]bool)
		if err := DeadLetters(ctx, a.cfg, func(l Letter) error {
			dead[deadLetter{l.Function, l.Event.Sequence}] = true
			return nil
		}); err != nil {
			return false, err
		}
		a.dead = dead
	}
	return a.dead[deadLetter{f.Name, s}] || a.dead[deadLetter{"", s}], nil
}

// group rewinds a function's group as soon as the group has no members. A member that
// was killed still counts for some seconds. Meanwhile what members do may show that
// rewinding is not needed, since the progress that a store has noted can be a second
// old.
func (a *alignment) group(ctx context.Context, f chat.EventFunction) error {
	committed, err := committedOffsets(ctx, a.admin, f.Group)
	if err != nil {
		return startFailure("group "+f.Group, err)
	}
	what := "taking " + f.Group + " back"
	for try := 0; ; try++ {
		back, err := a.behind(ctx, f, committed, try == 0)
		if err != nil || len(back) == 0 {
			return err
		}
		members, err := membersOf(ctx, a.admin, f.Group)
		switch {
		case err != nil:
			return startFailure(what, err)
		case members == 0:
			back.Each(func(o kadm.Offset) {
				slog.InfoContext(ctx, "rewinding the group to where its store is", slog.String("function", f.Name),
					slog.Int("partition", int(o.Partition)), slog.Int64("from", committed[o.Partition]), slog.Int64("to", o.At))
			})
			return startFailure(what, a.admin.CommitAllOffsets(ctx, f.Group, back))
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return chat.Errorf(chat.Conflict, "%s: the group has %d members; stop its consumers", what, members)
		}
	}
}

// behind returns the offsets to which a group has to be rewound, for the partitions
// that need it. If say is true, it logs what the log no longer has.
func (a *alignment) behind(ctx context.Context, f chat.EventFunction, committed map[int32]int64, say bool) (kadm.Offsets, error) {
	progress, err := a.store.Progress(ctx)
	if err != nil {
		return nil, err
	}
	applied := make(map[int32]chat.Applied)
	for _, p := range progress {
		if p.Store == f.Store {
			applied[p.Partition] = p
		}
	}
	back := make(kadm.Offsets)
	for partition := range int32(len(a.has.ends)) {
		start, end := a.has.starts[partition], a.has.ends[partition]
		from, to := end, end // wherever the group is
		if f.Store != "" {
			from, to = a.lacks(partition, applied[partition])
		}
		if say && to < start {
			slog.ErrorContext(ctx, "the log no longer has what the store lacks", slog.String("function", f.Name), slog.String("store", f.Store),
				slog.Int("partition", int(partition)), slog.Int64("from", to), slog.Int64("to", start), slog.String("help", help[f.Store]))
		}
		at, ok := committed[partition]
		if !ok || to >= at {
			continue
		}
		if lacks, err := a.handles(ctx, f, partition, max(from, start), min(at, end)); err != nil {
			return nil, err
		} else if lacks || at > end {
			back.AddOffset(chat.TopicRooms, partition, min(max(to, start), end), -1)
		}
	}
	return back, nil
}

// inFlight is more than the number of events of a partition that Knative's sources have
// in flight.
const inFlight = 10_000

// lacks returns the first offset of a partition that a store may lack, and the offset
// to rewind to if it does. For events from Knative's sources nobody knows what is done
// below the highest one, so the highest one counts.
func (a *alignment) lacks(partition int32, applied chat.Applied) (from, to int64) {
	if applied.Done > 0 || applied.Highest == 0 {
		to = a.cfg.Lineage.Offset(partition, applied.Done)
		return to, to
	}
	from = a.cfg.Lineage.Offset(partition, applied.Highest+1)
	return from, max(from-inFlight, 0)
}

// handles reports whether the log has an event between two offsets that a function
// handles and that is not among the dead letters.
func (a *alignment) handles(ctx context.Context, f chat.EventFunction, partition int32, from, to int64) (bool, error) {
	for from < to {
		var found bool
		err := patiently(ctx, func() error {
			at, err := a.log.led(ctx, partition, metadataAge)
			if err != nil {
				return err
			}
			records, next, err := a.log.fetch(ctx, at, from)
			if err == nil && next <= from {
				err = fmt.Errorf("nothing at offset %d of partition %d, before %d", from, partition, to)
			}
			if err != nil {
				return err
			}
			if found, err = a.handlesAny(ctx, f, records, to); err == nil {
				from = next
			}
			return err
		})
		if err != nil || found {
			return found, startFailure("reading "+chat.TopicRooms, err)
		}
	}
	return false, nil
}

// handlesAny reports whether one of the records below an offset is such an event.
func (a *alignment) handlesAny(ctx context.Context, f chat.EventFunction, records []*kgo.Record, to int64) (bool, error) {
	for _, r := range records {
		e, err := a.cfg.Event(r)
		if err != nil || r.Offset >= to || !f.Handles(e.Type) || e.Sequence == 0 {
			continue
		}
		if dead, err := a.isDead(ctx, f, e.Sequence); err != nil || !dead {
			return !dead, err
		}
	}
	return false, nil
}

// help says what to do when the log no longer has what a store lacks.
var help = map[string]string{
	chat.StoreEvents: "restore a backup of the store",
	chat.StoreIndex:  "rebuild the index: --reindex, or admin wipe-index --refill",
}
