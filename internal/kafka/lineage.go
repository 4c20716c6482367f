package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kadm"

	"knatter.dev/chat"
)

// maxGeneration is the highest generation that fits into a sequence.
const maxGeneration = 31

// extent is the extent of chat.rooms in a log.
type extent struct {
	log          string // the topic's ID; another ID means another log
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

// Reconcile makes the log and the stores projected from it agree: it calls [Recognize],
// and then rewinds the groups of functions to where their stores are. The functions
// then handle again what a store lacks; what the log no longer has is logged as an
// error. It must be called before the dispatchers run.
//
// Errors: those of Recognize; Conflict if a group has to be rewound but keeps its
// members.
func Reconcile(ctx context.Context, c Config, store chat.ProgressStore, events chat.EventStore, functions ...chat.EventFunction) (Config, error) {
	c, err := Recognize(ctx, c, store, events)
	if err != nil {
		return c, err
	}
	return c, align(ctx, c, store, functions)
}

// Recognize returns the configuration with the log's generations. It must be called
// before anything is appended. Processes that start at the same time may all call it:
// one of them decides, and the others find its decision.
//
// A log that is behind its stores begins a new generation, since it would otherwise use
// sequences again. That is a log that has lost its end, as an unsynced one does in a
// power cut, and a log that was replaced, for example by an empty one.
//
// Errors: Invalid if no generation is left, or the brokers refuse us; Unavailable, also
// if a new generation has to begin and the store is read-only for us.
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
		// Read this before the log's ends: whatever is applied meanwhile is logged
		// below them.
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
		// Another process was faster: use what it decided.
	}
}

// trust assumes that stores written by a version that noted no progress are where their
// groups are.
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

// succeed returns the lineage of a log that follows a known one. configured is the
// lowest number allowed for the newest generation.
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
		slog.WarnContext(ctx, "the log was replaced: it begins a new generation, and what the functions had yet to handle of the old log is lost", slog.Int("generation", number))
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
		return l, chat.Errorf(chat.Invalid, "the log is behind its store, and all %d generations are used up: export what is to stay, and begin with an empty log and an empty store", maxGeneration+1)
	}
	return l, nil
}
