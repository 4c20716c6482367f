package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
)

// refusing holds the partitions of chat.rooms that refused the last event appended to
// them: a disk is full, or too few replicas are in sync.
type refusing struct {
	some       atomic.Bool // makes appends cheap while there are none
	mu         sync.Mutex
	partitions map[int32]bool
}

// probeSize is larger than the free rest that a file may have on a full disk.
const probeSize = 8 << 10

// add notes that a record was refused. Faults of the record itself, or of a full
// buffer, do not count.
func (f *refusing) add(r *kgo.Record, err error) {
	if r.Topic != chat.TopicRooms || errors.Is(err, kgo.ErrMaxBuffered) || errors.Is(err, kerr.MessageTooLarge) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.partitions == nil {
		f.partitions = make(map[int32]bool)
	}
	f.partitions[r.Partition] = true
	f.some.Store(true)
}

// remove notes that a record was accepted.
func (f *refusing) remove(r *kgo.Record) {
	if !f.some.Load() || r.Topic != chat.TopicRooms {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.partitions, r.Partition)
	f.some.Store(len(f.partitions) > 0)
}

// probes returns hidden events, one for each partition that refused. No function
// handles them.
func (f *refusing) probes(partitions int) []*kgo.Record {
	if !f.some.Load() {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var records []*kgo.Record
	for p := range f.partitions {
		e := hidden(fmt.Sprint("probe-", p), streamIn(p, partitions))
		e.Data = append(e.Data, bytes.Repeat([]byte{' '}, probeSize)...)
		records = append(records, record(e))
	}
	return records
}

// streamIn returns a stream of ours in a partition.
func streamIn(partition int32, partitions int) chat.StreamID {
	for n := 0; ; n++ {
		if stream := chat.StreamID(fmt.Sprint("log-", n)); partitionOf(stream, partitions) == partition {
			return stream
		}
	}
}
