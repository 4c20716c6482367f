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

// Reconcile brings together the log and the stores that are projections of it, and
// returns the configuration with the log's generations. It must be called before
// anything is appended or followed.
//
// A log that is behind its stores begins a new generation, as what it logs from now
// on would else get sequences that were given before: one that has lost its end, as
// an unsynced one has after a power cut, and one that is another than it was, say an
// empty one. Stores that are behind the log are given again what they lack: the
// groups go back. What the log has no more is said.
//
// Errors: Invalid when there is no generation left, or the brokers refuse us;
// Conflict when a group has to go back and keeps its members; Unavailable.
func Reconcile(ctx context.Context, c Config, store chat.ProgressStore, events chat.EventStore) (Config, error) {
	noted, err := noted(ctx, store, events)
	if err != nil {
		return c, err
	}
	if c, err = recognize(ctx, c, store); err != nil {
		return c, err
	}
	return c, align(ctx, c, store, noted)
}

// noted reports whether the stores have noted how far they are. Those of a version
// that did not are trusted to be where the groups are.
func noted(ctx context.Context, store chat.ProgressStore, events chat.EventStore) (bool, error) {
	known, err := store.Lineage(ctx)
	if err != nil || known.Log != "" {
		return true, err
	}
	found := errors.New("a message is stored")
	err = events.Scan(ctx, func([]chat.Event) error { return found })
	if errors.Is(err, found) {
		return false, nil
	}
	return true, err
}

func recognize(ctx context.Context, c Config, store chat.ProgressStore) (Config, error) {
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
		return l, chat.Errorf(chat.Invalid, "the log is behind its store, and the last of %d generations is used up: export what is to stay, and begin with an empty directory", maxGeneration+1)
	}
	return l, nil
}
