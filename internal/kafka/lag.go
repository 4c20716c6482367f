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

// Shares of what the log keeps that persist or index may have yet to read. What
// brokers drop before they have read it is lost.
const (
	warnAt   = 0.5
	refuseAt = 0.9
)

const (
	lagEvery     = 500 * time.Millisecond // between two looks, while something is appended
	lagTimeout   = 5 * time.Second
	settingEvery = 30 * time.Second // between two looks at what the log keeps
	warnEvery    = time.Minute
	usualRecord  = 1 << 10 // bytes, where the brokers don't say how large a partition is
)

// lag watches how far persist and index are behind, against what the log keeps. It
// looks while somebody appends; nobody waits for it.
type lag struct {
	cfg   Config
	admin *kadm.Client

	behind  atomic.Pointer[[]shortfall] // by partition, as last seen
	looked  atomic.Int64
	looking sync.Mutex // held while looking

	keep   int64 // bytes of each partition, 0 for all
	kept   time.Time
	warned map[int32]warning
	blind  bool // the brokers don't say how large a partition is
}

// shortfall is how much of a partition a function has yet to read, as a share of
// what the log keeps.
type shortfall struct {
	function string
	share    float64
}

type warning struct {
	level int
	at    time.Time
}

// check refuses what is to be appended to a partition whose readers are too far
// behind. Errors: Unavailable.
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
	return chat.Errorf(chat.Unavailable, "%s has yet to read %.0f %% of what the log keeps of partition %d: nothing is taken until it catches up", s.function, 100*s.share, partition)
}

// freshen looks again, beside the caller, unless it was just done.
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
		_ = g.look(ctx) // the next one tries again; while the log is away nothing is appended
	}()
}

// now looks, unless it was just done, and waits for it. Errors: Unavailable, also
// when too much is unread.
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

// look finds out how far behind everybody is. It is called with looking held.
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

// warn says when a reader falls behind, and when it has caught up.
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
			slog.Info("what was unread of the log is read", attrs...)
		case 1:
			slog.Warn("a function has yet to read much of what the log keeps: it is slower than what comes, or cannot store", attrs...)
		default:
			slog.Error("a function has yet to read nearly all that the log keeps: events are refused until it catches up", attrs...)
		}
	}
}

// keeps is how many bytes the log keeps of a partition, 0 for all.
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
	g.keep, g.kept = g.cfg.Keeps(), time.Now() // where we may not ask
	for _, d := range described {
		for _, c := range d.Configs {
			if n, err := strconv.ParseInt(c.MaybeValue(), 10, 64); c.Key == "retention.bytes" && err == nil {
				g.keep = max(n, 0)
			}
		}
	}
	return g.keep, nil
}

// sizes are the partitions' sizes in bytes.
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
			slog.WarnContext(ctx, "the brokers don't say how large chat.rooms is: a KiB for each event is assumed", slog.Any("error", err))
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
