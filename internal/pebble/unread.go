package pebble

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

const (
	blockMessages = 256     // of a block
	maxSenders    = 1 << 18 // of all blocks together: some 12 MiB
)

// block is what is known of messages in a row: all those of a room from one
// sequence to another. Those that are deleted are not counted.
type block struct {
	from, to chat.Sequence
	rows     int
	messages int
	by       map[chat.UserID]int
}

// blocks remembers how many messages of whom there are, so that counting the unread
// again does not read them all again. They are made while counting, and dropped when
// a message is put among theirs, taken from them, or deleted.
type blocks struct {
	mu      sync.Mutex
	rooms   map[chat.RoomID][]block // ascending, apart from each other
	senders int
	scans   map[*scan]struct{}
}

// scan is one counting under way.
type scan struct {
	room    chat.RoomID
	changed chat.Sequence // the lowest message that has changed meanwhile; 0 if none
	pending block         // the messages since the last block
}

func newBlocks() *blocks {
	return &blocks{rooms: make(map[chat.RoomID][]block), scans: make(map[*scan]struct{})}
}

// begin must be called before the rows are looked at, end in the end.
func (b *blocks) begin(room chat.RoomID) *scan {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &scan{room: room}
	b.scans[s] = struct{}{}
	return s
}

func (b *blocks) end(s *scan) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.scans, s)
}

// inRoom is where a message is.
type inRoom struct {
	room chat.RoomID
	at   chat.Sequence
}

// change drops what is known of the surroundings of messages. It must be called
// after they have changed.
func (b *blocks) change(messages []inRoom) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range messages {
		for s := range b.scans {
			if s.room == m.room && (s.changed == 0 || m.at < s.changed) {
				s.changed = m.at
			}
		}
		known := b.rooms[m.room]
		if i, ok := blockAt(known, m.at); ok {
			b.senders -= len(known[i].by)
			b.rooms[m.room] = slices.Delete(known, i, i+1)
		}
	}
}

// around is the block that has a sequence.
func (b *blocks) around(room chat.RoomID, at chat.Sequence) (block, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.rooms[room]
	if i, ok := blockAt(known, at); ok {
		return known[i], true
	}
	return block{}, false
}

// blockAt finds the block that has a sequence, or where it would be.
func blockAt(known []block, at chat.Sequence) (int, bool) {
	return slices.BinarySearchFunc(known, at, func(b block, at chat.Sequence) int {
		switch {
		case b.to < at:
			return -1
		case b.from > at:
			return 1
		}
		return 0
	})
}

// add counts one more message of the scan and keeps a block of them when there are
// enough.
func (b *blocks) add(s *scan, at chat.Sequence, sender chat.UserID, counts bool) {
	p := &s.pending
	if p.rows == 0 {
		*p = block{from: at, by: make(map[chat.UserID]int)}
	}
	p.to = at
	p.rows++
	if counts {
		p.messages++
		p.by[sender]++
	}
	if p.rows == blockMessages {
		b.keep(s)
	}
}

// keep keeps the messages since the last block as one.
func (b *blocks) keep(s *scan) {
	p := s.pending
	s.pending = block{}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.rows == 0 || s.changed != 0 && s.changed <= p.to {
		return
	}
	known := b.rooms[s.room]
	i, taken := blockAt(known, p.from)
	if taken || i < len(known) && known[i].from <= p.to {
		return // another scan was here
	}
	for room, others := range b.rooms { // any will do: it is counted again
		if b.senders+len(p.by) <= maxSenders {
			break
		}
		if room == s.room {
			continue
		}
		for _, o := range others {
			b.senders -= len(o.by)
		}
		delete(b.rooms, room)
	}
	b.senders += len(p.by)
	b.rooms[s.room] = slices.Insert(known, i, p)
}

// Unread implements [chat.EventStore]. What was counted before is not read again.
// Errors: Unavailable.
func (e *Events) Unread(ctx context.Context, room chat.RoomID, user chat.UserID, r chat.Range) (int, error) {
	n, _, err := e.unread(ctx, room, user, r)
	return n, err
}

// unread also returns how many rows it has read.
func (e *Events) unread(ctx context.Context, room chat.RoomID, user chat.UserID, r chat.Range) (n, read int, err error) {
	if !room.Valid() {
		return 0, 0, nil
	}
	if err := e.s.enter(ctx); err != nil {
		return 0, 0, err
	}
	defer e.s.leave()
	s := e.blocks.begin(room)
	defer e.blocks.end(s)
	from, to := bounds(kindMessage, room, r.After, r.Before)
	it, err := e.s.iterateRange(ctx, from, to)
	if err != nil {
		return 0, 0, err
	}
	defer finish(it, &err)
	prefix := len(from) - 8
	most := r.Limit + len(r.Except)
	for ok := it.First(); ok && n < most; {
		at, valid := sequence(it.Key()[prefix:])
		if !valid {
			return 0, read, damaged(it.Key())
		}
		known, inside := e.blocks.around(room, at)
		if inside {
			e.blocks.keep(s) // what lies in front of it
		}
		if inside && known.from == at && (r.Before == 0 || known.to < r.Before) {
			n += known.messages - known.by[user]
			ok = it.SeekGE(eventKey(nil, kindMessage, room, known.to+1))
			continue
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return 0, read, unavailable(err)
		}
		sender, _, valid := splitEvent(v)
		if !valid {
			return 0, read, damaged(it.Key())
		}
		read++
		counts := v[0]&erased == 0
		if counts && string(sender) != string(user) {
			n++
		}
		if !inside {
			e.blocks.add(s, at, chat.UserID(sender), counts)
		}
		ok = it.Next()
	}
	n, err = e.less(it, room, user, r, n)
	return min(max(n, 0), r.Limit), read, err
}

// less takes off a count what of it is not to be counted. The iterator sees what was
// counted.
func (e *Events) less(it *pebble.Iterator, room chat.RoomID, user chat.UserID, r chat.Range, n int) (int, error) {
	for _, at := range r.Except {
		if at <= r.After || r.Before != 0 && at >= r.Before {
			continue
		}
		key := eventKey(nil, kindMessage, room, at)
		if !it.SeekGE(key) || !bytes.Equal(it.Key(), key) {
			continue
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return 0, unavailable(err)
		}
		sender, _, valid := splitEvent(v)
		if !valid {
			return 0, damaged(key)
		}
		if v[0]&erased == 0 && string(sender) != string(user) {
			n--
		}
	}
	return n, nil
}
