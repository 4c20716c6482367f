package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"knatter.dev/chat"
)

// Limits of what persist or index have yet to read, as shares of what the log keeps.
// What brokers drop before it is read is lost.
const (
	warnAt   = 0.5
	refuseAt = 0.9
)

const (
	lagEvery     = 500 * time.Millisecond // between two checks, while events are appended
	lagTimeout   = 5 * time.Second
	settingEvery = 30 * time.Second // between two checks of the retention setting
	warnEvery    = time.Minute
	usualRecord  = 1 << 10 // bytes, if the brokers do not report the size of partitions
)

// lag compares how far persist and index are behind with what the log keeps. It checks
// while events are appended; no caller waits for it.
type lag struct {
	cfg   Config
	admin *kadm.Client

	behind  atomic.Pointer[[]shortfall] // by partition, as last seen
	looked  atomic.Int64
	looking sync.Mutex // held during a check

	keep   int64 // bytes of each partition, 0 for all
	kept   time.Time
	warned map[int32]warning
	blind  bool // the brokers do not report the size of partitions
}

// shortfall is how much of a partition a function has yet to read, as a share of what
// the log keeps.
type shortfall struct {
	function string
	share    float64
}

type warning struct {
	level int
	at    time.Time
}

// check refuses appends to a partition whose consumers are too far behind. Errors:
// Unavailable.
func (g *lag) check(partition int32) error {
	g.freshen()
	if all := g.behind.Load(); all != nil && int(partition) < len(*all) {
		return (*all)[partition].err(partition)
	}
	return nil
}

func (s shortfall) err(partition int32) error {
	if s.share < refuseAt {
		return nil
	}
	return chat.Errorf(chat.Unavailable, "%s has yet to read %.0f %% of what the log keeps of partition %d; events are refused until it catches up", s.function, 100*s.share, partition)
}

// freshen starts a check in the background, unless one was just made.
func (g *lag) freshen() {
	last, now := g.looked.Load(), time.Now().UnixNano()
	if now-last < int64(lagEvery) || !g.looked.CompareAndSwap(last, now) {
		return
	}
	go func() {
		if !g.looking.TryLock() {
			return
		}
		defer g.looking.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), lagTimeout)
		defer cancel()
		_ = g.look(ctx) // the next check retries; while the log is unavailable nothing is appended
	}()
}

// now makes a check and waits for it, unless one was just made. Errors: Unavailable,
// also if too much is unread.
func (g *lag) now(ctx context.Context) error {
	g.looking.Lock()
	var err error
	if g.behind.Load() == nil || time.Now().UnixNano()-g.looked.Load() >= int64(lagEvery) {
		err = g.look(ctx)
	}
	g.looking.Unlock()
	if err != nil {
		return failure("how far functions are", err)
	}
	for partition, s := range *g.behind.Load() {
		if err := s.err(int32(partition)); err != nil {
			return err
		}
	}
	return nil
}

// look determines how far everybody is behind. The caller holds looking.
func (g *lag) look(ctx context.Context) error {
	has, err := extentOf(ctx, g.admin)
	if err != nil {
		return err
	}
	keep, err := g.keeps(ctx)
	if err != nil {
		return err
	}
	behind := make([]shortfall, len(has.ends))
	if keep > 0 {
		sizes := g.sizes(ctx, has)
		for _, f := range chat.EventFunctions {
			if f.Store == "" {
				continue
			}
			committed, err := committedOffsets(ctx, g.admin, f.Group)
			if err != nil {
				return err
			}
			for p := range behind {
				at := max(committed[int32(p)], has.starts[p])
				share := float64(sizes[p]) * float64(has.ends[p]-at) / float64(max(has.ends[p]-has.starts[p], 1)) / float64(keep)
				if share > behind[p].share {
					behind[p] = shortfall{f.Name, share}
				}
			}
		}
	}
	g.behind.Store(&behind)
	g.looked.Store(time.Now().UnixNano())
	g.warn(behind)
	return nil
}

// warn logs when a consumer falls behind, and when it has caught up.
func (g *lag) warn(behind []shortfall) {
	if g.warned == nil {
		g.warned = make(map[int32]warning)
	}
	for p, s := range behind {
		partition := int32(p)
		level := 0
		switch {
		case s.share >= refuseAt:
			level = 2
		case s.share >= warnAt:
			level = 1
		}
		was := g.warned[partition]
		if level == was.level && (level == 0 || time.Since(was.at) < warnEvery) {
			continue
		}
		g.warned[partition] = warning{level, time.Now()}
		attrs := []any{slog.Int("partition", p), slog.String("function", s.function), slog.String("share", fmt.Sprintf("%.0f%%", 100*s.share))}
		switch level {
		case 0:
			slog.Info("a function has caught up with the log", attrs...)
		case 1:
			slog.Warn("a function has yet to read much of what the log keeps: it is too slow, or cannot store", attrs...)
		default:
			slog.Error("a function has yet to read nearly all that the log keeps: events are refused until it catches up", attrs...)
		}
	}
}

// keeps returns how many bytes the log keeps of a partition, 0 for all.
func (g *lag) keeps(ctx context.Context) (int64, error) {
	if g.cfg.Trimmed {
		return g.cfg.Keeps(), nil
	}
	if time.Since(g.kept) < settingEvery {
		return g.keep, nil
	}
	described, err := g.admin.DescribeTopicConfigs(ctx, chat.TopicRooms)
	if err != nil {
		return 0, err
	}
	g.keep, g.kept = g.cfg.Keeps(), time.Now() // if we are not allowed to ask
	for _, d := range described {
		for _, c := range d.Configs {
			if n, err := strconv.ParseInt(c.MaybeValue(), 10, 64); c.Key == "retention.bytes" && err == nil {
				g.keep = max(n, 0)
			}
		}
	}
	return g.keep, nil
}

// sizes returns the sizes of the partitions, in bytes.
func (g *lag) sizes(ctx context.Context, has extent) []int64 {
	sizes := make([]int64, len(has.ends))
	for p := range sizes {
		sizes[p] = usualRecord * (has.ends[p] - has.starts[p])
	}
	of := make(kadm.TopicsSet)
	for p := range sizes {
		of.Add(chat.TopicRooms, int32(p))
	}
	dirs, err := g.admin.DescribeAllLogDirs(ctx, of)
	if err != nil {
		if !g.blind {
			slog.WarnContext(ctx, "the brokers do not report the size of chat.rooms; assuming 1 KiB for each event", slog.Any("error", err))
			g.blind = true
		}
		return sizes
	}
	found := make([]int64, len(sizes))
	dirs.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			if int(p.Partition) < len(found) {
				found[p.Partition] = max(found[p.Partition], p.Size)
			}
		})
	})
	return found
}
