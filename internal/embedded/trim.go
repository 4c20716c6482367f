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

// fineness is the number of steps into which the kept size is divided.
const fineness = 64

// trimmer limits the size of chat.rooms. kfake could do that itself, but would drop
// records that a function has yet to read.
type trimmer struct {
	b     *Broker
	keep  int64 // bytes of each partition
	marks map[int32]*marks
}

// marks records how many bytes a partition had received at some offsets.
type marks struct {
	all   []mark // rising
	given int64  // bytes received in all, as last seen
	size  int64  // bytes on disk, as last seen
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
			slog.Warn("trimming the log failed", slog.Int("partition", int(p.Partition)), slog.Any("error", err))
			continue
		}
		if p := t.b.cluster.PartitionInfo(chat.TopicRooms, p.Partition); p != nil {
			m.size = p.NumBytes
		}
	}
}

// read returns the offset below which all functions whose stores are projections of the
// log have read a partition. What they have yet to read is kept.
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

// marksOf returns the marks of a partition according to its files.
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

// look updates the marks with a partition's end and size, and returns the highest
// offset that is known to have at least the kept size after it.
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
