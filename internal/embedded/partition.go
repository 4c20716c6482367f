package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/damage"
)

// partitionCheck goes through the segments of one partition. The batches follow each
// other without a gap, so what is missing between two of them is known, and can be
// replaced by what stands for it.
type partitionCheck struct {
	*check
	dir       string
	topic     string
	partition int
	next      int64 // the offset after what was read; below 0 before the first segment
}

// passing reports whether nobody reads the topic after a restart.
func (p *partitionCheck) passing() bool {
	return p.topic == chat.TopicDeliveries || p.topic == chat.TopicSignals
}

// gapless reports whether batches follow each other without a gap, which in topics
// of others they need not.
func (p *partitionCheck) gapless() bool {
	return p.passing() || p.topic == chat.TopicRooms || p.topic == chat.TopicDead
}

func (p *partitionCheck) run() error {
	entries, err := os.ReadDir(p.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var bases []int64
	for _, e := range entries {
		name := e.Name()
		if base, err := strconv.ParseInt(strings.TrimSuffix(name, ".dat"), 10, 64); err == nil && strings.HasSuffix(name, ".dat") {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	before := len(p.problems)
	p.next = -1
	for i, base := range bases {
		if err := p.segment(base, bases[i+1:]); err != nil {
			return err
		}
	}
	end, _ := p.end(p.topic, p.partition)
	if len(bases) == 0 && end > 0 {
		path := filepath.Join(p.dir, "0.dat")
		p.found(p.dir, "its segments are missing", p.lost(0, end), func() error { return replace(path, appendFiller(nil, 0, end)) })
	}
	if len(bases) > 0 && p.topic == chat.TopicRooms {
		if loss := p.loss(p.partition, 0, bases[0]); loss != "" {
			p.found(p.dir, fmt.Sprintf("the segments before %d.dat are missing", bases[0]), loss, func() error { return p.accept(bases[0]) })
		}
	}
	if p.passing() && len(p.problems) > before { // in one go, and simply
		p.problems = append(p.problems[:before], damage.Problem{File: p.dir, What: "it is damaged", Mend: func() error { return os.RemoveAll(p.dir) }})
	}
	return nil
}

// lost says what is lost without the events of a range of offsets.
func (p *partitionCheck) lost(from, to int64) string {
	switch {
	case p.passing() || from >= to:
		return ""
	case p.topic == chat.TopicRooms:
		return p.loss(p.partition, from, to)
	}
	return fmt.Sprintf("%d records, at offsets %d to %d of partition %d of %s", to-from, from, to-1, p.partition, p.topic)
}

// segment checks a segment, which others come after.
func (p *partitionCheck) segment(base int64, later []int64) error {
	path := filepath.Join(p.dir, fmt.Sprint(base, ".dat"))
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if p.next > base {
		p.found(path, fmt.Sprintf("it begins before offset %d, where the segment before it ends", p.next), "what is in it", func() error { return os.Remove(path) })
		return nil
	}
	var mended []byte
	var wrong, losses []string
	fill := func(from, to int64, what string) {
		if from >= to {
			return
		}
		mended = appendFiller(mended, from, to)
		wrong = append(wrong, what)
		if loss := p.lost(from, to); loss != "" {
			losses = append(losses, loss)
		}
	}
	p.next = base
	pos := 0
	for _, b := range batches(data) {
		switch {
		case b.pos > pos && p.gapless():
			fill(p.next, b.first, fmt.Sprintf("bytes %d to %d are damaged", pos, b.pos-1))
		case b.pos > pos:
			wrong = append(wrong, fmt.Sprintf("bytes %d to %d are damaged", pos, b.pos-1))
			losses = append(losses, "what was in them")
		}
		if b.pos > pos || !p.gapless() {
			p.next = max(p.next, b.first)
		}
		mended = appendBatch(mended, data, b, p.next)
		p.next += b.count
		pos = b.pos + b.size
	}
	fill(p.next, p.after(data, pos, later), fmt.Sprintf("it is cut or damaged after byte %d", pos))
	p.next = max(p.next, p.after(data, pos, later))
	if slices.Equal(mended, data) {
		return p.index(base)
	}
	if len(wrong) == 0 {
		wrong = []string{"the heads of batches are damaged"}
		if pos < len(data) {
			wrong = []string{fmt.Sprintf("after byte %d is the beginning of a batch that was never acknowledged", pos)}
		}
	}
	p.found(path, strings.Join(wrong, ", "), strings.Join(losses, ", "), func() error {
		return errors.Join(replace(path, mended), remove(filepath.Join(p.dir, fmt.Sprint(base, ".idx"))))
	})
	return nil
}

// after is the offset at which the next segment must begin, or the log end at least.
func (p *partitionCheck) after(data []byte, pos int, later []int64) int64 {
	if len(later) > 0 {
		return later[0]
	}
	end, known := p.end(p.topic, p.partition)
	// Without a ledger a batch that has all its bytes was not cut by a power cut.
	if rest := data[pos:]; !known && !p.passing() && len(rest) >= batchHead && int64(binary.BigEndian.Uint32(rest[atLength:]))+lengthFrom == int64(len(rest)) {
		end = max(end, p.next+max(int64(int32(binary.BigEndian.Uint32(rest[atLastDelta:]))), 0)+1)
	}
	return end
}

const indexEntry = 15

// index checks the file beside a segment: entries with a checksum of one byte.
func (p *partitionCheck) index(base int64) error {
	path := filepath.Join(p.dir, fmt.Sprint(base, ".idx"))
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is not needed
	} else if err != nil {
		return err
	}
	for e := range slices.Chunk(data, indexEntry) {
		if len(e) < indexEntry || e[0] != 1 || e[1] != byte(crc32.Checksum(e[2:], castagnoli)) {
			p.found(path, "it is damaged", "", func() error { return remove(path) })
			break
		}
	}
	return nil
}

// accept notes that what was before an offset is gone.
func (p *partitionCheck) accept(offset int64) error {
	raise(&p.places.Handled, p.partition, offset)
	return p.savePlaces()
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
