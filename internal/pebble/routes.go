package pebble

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// Routes is the route store. A closed route keeps its row: it remembers the
// sequence of the closing, which a late opening must not undo.
type Routes struct {
	s  *Store
	mu sync.Mutex // the last change is read, then written
}

var _ chat.RouteStore = (*Routes)(nil)

// Apply implements [chat.RouteStore]. Errors: Invalid for a change without a room
// or a connector (nothing is applied then), Unavailable.
func (r *Routes) Apply(ctx context.Context, changes []chat.RouteChange) error {
	if err := r.s.enter(ctx); err != nil {
		return err
	}
	defer r.s.leave()
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.s.db.NewIndexedBatch() // a batch may change the same route twice
	for _, c := range changes {
		if !c.Room.Valid() || c.Connector < 0 || int64(c.Connector) >= 1<<32 {
			return errors.Join(chat.Errorf(chat.Invalid, "a route needs a room and a connector"), b.Close())
		}
		key := binary.BigEndian.AppendUint32(appendName(nil, kindRoute, c.Room), uint32(c.Connector))
		last, err := getSequence(b, key)
		if err != nil {
			return errors.Join(err, b.Close())
		}
		if c.Sequence <= last {
			continue
		}
		open := byte(0)
		if c.Open {
			open = 1
		}
		_ = b.Set(key, append(appendSequence(nil, c.Sequence), open), nil)
	}
	return r.s.commit(b, pebble.Sync)
}

// Connectors implements [chat.RouteStore]. Errors: Unavailable.
func (r *Routes) Connectors(ctx context.Context, rooms []chat.RoomID) (found map[chat.RoomID][]int, err error) {
	if err := r.s.enter(ctx); err != nil {
		return nil, err
	}
	defer r.s.leave()
	it, err := r.s.iterate(ctx, []byte{kindRoute})
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	found = make(map[chat.RoomID][]int, len(rooms))
	var prefix []byte
	for _, room := range rooms {
		if !room.Valid() || found[room] != nil {
			continue
		}
		prefix = appendName(prefix[:0], kindRoute, room)
		for ok := it.SeekGE(prefix); ok && bytes.HasPrefix(it.Key(), prefix); ok = it.Next() {
			connector, row := it.Key()[len(prefix):], it.Value()
			if len(connector) != 4 || len(row) != 9 {
				return nil, damaged(it.Key())
			}
			if row[8] == 1 {
				found[room] = append(found[room], int(binary.BigEndian.Uint32(connector)))
			}
		}
		if err := it.Error(); err != nil {
			return nil, unavailable(err)
		}
	}
	return found, nil
}
