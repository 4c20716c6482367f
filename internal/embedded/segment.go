package embedded

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"knatter.dev/chat"
)

// A segment is a file of record batches as they are on the wire, named after its
// first offset. These are where the fields of a batch begin.
const (
	atLength      = 8
	atEpoch       = 12
	atMagic       = 16
	atCRC         = 17
	crcFrom       = 21 // what the checksum covers
	atLastDelta   = 23
	batchHead     = 61
	lengthFrom    = 12 // what the length counts
	maxBatch      = 16 << 20
	currentFormat = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is a complete batch of records in a segment.
type batch struct {
	pos, size int
	first     int64 // offset, as it says
	count     int64 // of offsets
}

// batchAt reports whether a whole batch of a size begins at a position; of the size
// that it says, if that is 0.
func batchAt(data []byte, pos, size int) (batch, bool) {
	d := data[pos:]
	if len(d) < batchHead {
		return batch{}, false
	}
	if size == 0 {
		size = int(min(binary.BigEndian.Uint32(d[atLength:]), maxBatch)) + lengthFrom
	}
	if size < batchHead || size > len(d) || crc32.Checksum(d[crcFrom:size], castagnoli) != binary.BigEndian.Uint32(d[atCRC:]) {
		return batch{}, false
	}
	b := batch{pos: pos, size: size, first: int64(binary.BigEndian.Uint64(d)), count: int64(int32(binary.BigEndian.Uint32(d[atLastDelta:]))) + 1}
	return b, b.count > 0
}

// nextBatch finds the first whole batch at a position or after it.
func nextBatch(data []byte, pos int) (batch, bool) {
	for ; pos+batchHead <= len(data); pos++ {
		if data[pos+atMagic] != currentFormat {
			continue
		}
		if b, ok := batchAt(data, pos, 0); ok {
			return b, true
		}
	}
	return batch{}, false
}

// batches returns the complete batches of a segment, in order. A batch of which only
// the length is damaged ends where the next one begins.
func batches(data []byte) (found []batch) {
	for pos := 0; pos < len(data); {
		b, ok := batchAt(data, pos, 0)
		if !ok {
			next, more := nextBatch(data, pos+1)
			if !more {
				next.pos = len(data)
			}
			if b, ok = batchAt(data, pos, next.pos-pos); !ok {
				pos = next.pos
				continue
			}
		}
		found = append(found, b)
		pos += b.size
	}
	return found
}

// appendBatch appends a batch as it must be at an offset: its checksum does not
// cover its head.
func appendBatch(dst, data []byte, b batch, first int64) []byte {
	at := len(dst)
	dst = append(dst, data[b.pos:b.pos+b.size]...)
	head := dst[at:]
	binary.BigEndian.PutUint64(head, uint64(first))
	binary.BigEndian.PutUint32(head[atLength:], uint32(b.size-lengthFrom))
	binary.BigEndian.PutUint32(head[atEpoch:], 0) // the only broker always leads
	head[atMagic] = currentFormat
	return dst
}

// appendFiller appends batches in place of lost offsets, so that later offsets remain.
// Each has one hidden event, the last of its offsets, of the kind that partitions begin
// with. Consumers of the log skip it.
func appendFiller(dst []byte, from, to int64) []byte {
	for ; to-from > math.MaxInt32; from += math.MaxInt32 {
		dst = appendFiller(dst, from, from+math.MaxInt32)
	}
	e := chat.Event{
		ID:     "gap-" + strconv.FormatInt(from, 10),
		Source: "/log",
		Type:   chat.RouteClosed,
		Room:   "log",
		Stream: "log",
		Time:   chat.Now(),
		Data:   []byte(`{"connector":-1}`),
	}
	r := kmsg.Record{OffsetDelta: int32(to - from - 1), Key: []byte(e.Stream), Value: e.Data}
	for _, h := range e.Headers() {
		r.Headers = append(r.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
	}
	r.Length = int32(len(r.AppendTo(nil)) - 1) // without the length itself, which for 0 is one byte
	now := time.Now().UnixMilli()
	b := kmsg.RecordBatch{
		FirstOffset:     from,
		Magic:           currentFormat,
		LastOffsetDelta: r.OffsetDelta,
		FirstTimestamp:  now,
		MaxTimestamp:    now,
		ProducerID:      -1,
		ProducerEpoch:   -1,
		FirstSequence:   -1,
		NumRecords:      1,
		Records:         r.AppendTo(nil),
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[atLength:], uint32(len(raw)-lengthFrom))
	binary.BigEndian.PutUint32(raw[atCRC:], crc32.Checksum(raw[crcFrom:], castagnoli))
	return append(dst, raw...)
}
