package embedded

import (
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"knatter.dev/chat"
)

// trimEvery is how often the log is trimmed.
const trimEvery = time.Second

// fineness is how many parts of what is kept are told apart.
const fineness = 64

// trimmer keeps chat.rooms small. kfake would do it by itself, whoever has yet to
// read what it drops.
type trimmer struct {
	b     *Broker
	keep  int64 // bytes of each partition
	marks map[int32]*marks
}

// marks remember how many bytes a partition had been given up to some offsets.
type marks struct {
	all   []mark // rising
	given int64  // bytes in all, at the last look
	size  int64  // bytes that there were, at the last look
}

type mark struct {
	offset int64
	given  int64 // bytes in front of it
}

// run trims until the broker stops.
func (t *trimmer) run() {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		select {
		case <-t.b.stop:
			return
		case <-tick.C:
			t.trim()
		}
	}
}

func (t *trimmer) trim() {
	for _, p := range t.b.cluster.PartitionInfos(chat.TopicRooms) {
		m := t.marks[p.Partition]
		if m == nil {
			m = t.b.marksOf(p.Partition)
			t.marks[p.Partition] = m
		}
		to := min(m.look(p.HighWatermark, p.NumBytes, t.keep), t.read(p.Partition))
		if to <= p.LogStartOffset {
			continue
		}
		if err := t.b.cluster.DeleteRecords(chat.TopicRooms, p.Partition, to); err != nil {
			slog.Warn("the log cannot be trimmed", slog.Int("partition", int(p.Partition)), slog.Any("error", err))
			continue
		}
		if p := t.b.cluster.PartitionInfo(chat.TopicRooms, p.Partition); p != nil {
			m.size = p.NumBytes
		}
	}
}

// read is the offset of a partition that all have read below whose stores are made of
// the log: what they have yet to read is held back.
func (t *trimmer) read(partition int32) int64 {
	least := int64(math.MaxInt64)
	for _, f := range chat.EventFunctions {
		if f.Store == "" {
			continue
		}
		group := t.b.cluster.GroupInfo(f.Group)
		if group == nil {
			return 0
		}
		least = min(least, group.Commits[chat.TopicRooms][partition].Offset)
	}
	return least
}

// marksOf are the marks of a partition as its files tell them.
func (b *Broker) marksOf(partition int32) *marks {
	m := new(marks)
	if b.dir == "" {
		return m
	}
	dir := filepath.Join(b.dir, "partitions", chat.TopicRooms+"-"+strconv.Itoa(int(partition)))
	d, err := os.Open(dir)
	if err != nil {
		return m // nothing was appended yet
	}
	defer func() { _ = d.Close() }()
	names, err := list(d)
	if err != nil {
		return m
	}
	for _, base := range segmentsAfter(names, -1) {
		info, err := os.Stat(filepath.Join(dir, strconv.FormatInt(base, 10)+".dat"))
		if err != nil {
			continue
		}
		m.all = append(m.all, mark{offset: base, given: m.given})
		m.given += info.Size()
	}
	m.size = m.given
	return m
}

// look takes in where a partition ends and how many bytes it has, and returns the
// highest offset that is known to have at least what is kept behind it.
func (m *marks) look(end, size, keep int64) int64 {
	m.given += max(size-m.size, 0)
	m.size = size
	if n := len(m.all); n == 0 || m.given-m.all[n-1].given >= keep/fineness && end > m.all[n-1].offset {
		m.all = append(m.all, mark{offset: end, given: m.given})
	}
	passed := 0
	for passed+1 < len(m.all) && m.given-m.all[passed+1].given >= keep {
		passed++
	}
	m.all = m.all[passed:]
	if m.given-m.all[0].given < keep {
		return 0
	}
	return m.all[0].offset
}
