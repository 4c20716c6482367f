package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kadm"

	"knatter.dev/chat"
)

// maxGeneration is the last one that fits into a sequence.
const maxGeneration = 31

// extent is what a log has of chat.rooms.
type extent struct {
	log          string // the topic's identity: another one is another log
	starts, ends []int64
}

func extentOf(ctx context.Context, admin *kadm.Client) (e extent, err error) {
	topics, err := admin.ListTopics(ctx, chat.TopicRooms)
	if err == nil {
		err = topics.Error()
	}
	if err != nil {
		return e, err
	}
	topic := topics[chat.TopicRooms]
	e.log = hex.EncodeToString(topic.ID[:])
	starts, err := admin.ListStartOffsets(ctx, chat.TopicRooms)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return e, err
	}
	ends, err := admin.ListEndOffsets(ctx, chat.TopicRooms)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return e, err
	}
	e.starts, e.ends = make([]int64, len(topic.Partitions)), make([]int64, len(topic.Partitions))
	for i := range e.ends {
		start, ok := starts.Lookup(chat.TopicRooms, int32(i))
		end, okay := ends.Lookup(chat.TopicRooms, int32(i))
		if !ok || !okay {
			return e, errNoAnswer
		}
		e.starts[i], e.ends[i] = start.Offset, end.Offset
	}
	return e, nil
}

// Reconcile brings together the log and the stores that are projections of it: it is
// [Recognize], and then takes the groups of functions back to where their stores are.
// What a store lacks it is given again; what the log has no more is said. It must be
// called before the functions' events are followed.
//
// Errors: as those of Recognize; Conflict when a group has to go back and keeps its
// members.
func Reconcile(ctx context.Context, c Config, store chat.ProgressStore, events chat.EventStore, functions ...chat.EventFunction) (Config, error) {
	c, err := Recognize(ctx, c, store, events)
	if err != nil {
		return c, err
	}
	return c, align(ctx, c, store, functions)
}

// Recognize returns the configuration with the log's generations. It must be called
// before anything is appended. Processes that start at once may all call it: one of
// them decides, and the others find what it has decided.
//
// A log that is behind its stores begins a new generation, as what it logs from now
// on would else get sequences that were given before: one that has lost its end, as
// an unsynced one has after a power cut, and one that is another than it was, say an
// empty one.
//
// Errors: Invalid when there is no generation left, or the brokers refuse us;
// Unavailable, also when a new generation has to begin and the store is not ours to
// write.
func Recognize(ctx context.Context, c Config, store chat.ProgressStore, events chat.EventStore) (Config, error) {
	client, err := newClient(c)
	if err != nil {
		return c, err
	}
	defer client.Close()
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	admin := kadm.NewClient(client)
	for {
		known, err := store.Lineage(ctx)
		if err != nil {
			return c, err
		}
		// Before the log's ends: what is applied meanwhile is logged before them.
		applied, err := store.Progress(ctx)
		if err != nil {
			return c, err
		}
		if known.Log == "" && len(applied) == 0 {
			if err := trust(ctx, c, admin, store, events); err != nil {
				return c, err
			}
		}
		var has extent
		if err := patiently(ctx, func() (err error) { has, err = extentOf(ctx, admin); return err }); err != nil {
			return c, startFailure("offsets of "+chat.TopicRooms, err)
		}
		if c.Lineage, err = succeed(ctx, known, has, applied, c.Generation); err != nil {
			return c, err
		}
		if c.Lineage.Equal(known) {
			return c, nil
		}
		err = store.SetLineage(ctx, c.Lineage, known)
		if chat.KindOf(err) != chat.Conflict {
			return c, err
		}
		// Another process has: see what it found.
	}
}

// trust takes stores of a version that noted nothing to be where the groups are.
func trust(ctx context.Context, c Config, admin *kadm.Client, store chat.ProgressStore, events chat.EventStore) error {
	found := errors.New("a message is stored")
	if err := events.Scan(ctx, func([]chat.Event) error { return found }); !errors.Is(err, found) {
		return err
	}
	var applied []chat.Applied
	for _, f := range chat.EventFunctions {
		if f.Store == "" {
			continue
		}
		committed, err := committedOffsets(ctx, admin, f.Group)
		if err != nil {
			return startFailure("group "+f.Group, err)
		}
		for partition, at := range committed {
			applied = append(applied, chat.Applied{Store: f.Store, Partition: partition, Done: chat.SequenceAt(c.Generation, at)})
		}
	}
	return store.Note(ctx, applied...)
}

// succeed is the lineage of a log, given what was known of it. configured is the
// least number that the newest generation may have.
func succeed(ctx context.Context, known chat.Lineage, has extent, applied []chat.Applied, configured int) (chat.Lineage, error) {
	highest := make([]chat.Sequence, len(has.ends))
	newest := known.Newest()
	for _, a := range applied {
		newest = max(newest, a.Highest.Generation())
		if int(a.Partition) < len(highest) {
			highest[a.Partition] = max(highest[a.Partition], a.Highest)
		}
	}
	l := chat.Lineage{Log: has.log, Generations: known.Generations}
	switch {
	case known.Log == "":
		l.Generations = []chat.Generation{{Number: configured}}
	case known.Log != has.log:
		number := max(newest+1, configured)
		slog.WarnContext(ctx, "the log is another one than before: it begins a new generation, and what the functions had yet to handle of the other one is gone", slog.Int("generation", number))
		l.Generations = []chat.Generation{{Number: number}}
	case configured > known.Newest():
		l.Generations = append(l.Generations[:len(l.Generations):len(l.Generations)], chat.Generation{Number: configured, From: has.ends})
	}
	for partition, end := range has.ends {
		if at := l.SequenceAt(int32(partition), end); at <= highest[partition] {
			number := max(newest, l.Newest()) + 1
			slog.WarnContext(ctx, "the log has lost what the store has: it begins a new generation",
				slog.Int("partition", partition), slog.String("log", at.String()), slog.String("store", highest[partition].String()), slog.Int("generation", number))
			l.Generations = append(l.Generations[:len(l.Generations):len(l.Generations)], chat.Generation{Number: number, From: has.ends})
			break
		}
	}
	if l.Newest() > maxGeneration {
		return l, chat.Errorf(chat.Invalid, "the log is behind its store, and the last of %d generations is used up: export what is to stay, and begin with an empty log and an empty store", maxGeneration+1)
	}
	return l, nil
}
