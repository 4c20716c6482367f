package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// Routes is the route store. A closed route keeps its row: it remembers the
// sequence of the closing, which a late opening must not undo.
//
// Each message asks for its stream's routes, so those that are open are held in
// memory too: some 100 bytes for a stream that somebody follows.
type Routes struct {
	s     *Store
	mu    sync.Mutex // the last change is read, then written
	marks marks

	view sync.RWMutex // of open, which only the holder of mu changes
	open map[chat.StreamID][]int
}

var _ chat.RouteStore = (*Routes)(nil)

// Apply implements [chat.RouteStore]. Errors: Invalid for a change without a stream
// or a connector (nothing is applied then), Unavailable.
func (r *Routes) Apply(ctx context.Context, changes []chat.RouteChange) error {
	if err := r.s.enter(ctx); err != nil {
		return err
	}
	defer r.s.leave()
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.s.db.NewIndexedBatch() // a batch may change the same route twice
	applied := make([]chat.RouteChange, 0, len(changes))
	var moved moves
	for _, c := range changes {
		moved.add(c.Origin, c.Sequence)
		if !c.Stream.Valid() || c.Connector < 0 || int64(c.Connector) >= 1<<32 {
			return errors.Join(chat.Errorf(chat.Invalid, "a route needs a stream and a connector"), b.Close())
		}
		key := binary.BigEndian.AppendUint32(appendName(nil, kindRoute, c.Stream), uint32(c.Connector))
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
		applied = append(applied, c)
	}
	r.marks.put(b, moved)
	if err := r.s.commit(b, pebble.Sync); err != nil {
		return err
	}
	r.marks.keep(moved)
	r.view.Lock()
	defer r.view.Unlock()
	for _, c := range applied {
		r.set(c.Stream, c.Connector, c.Open)
	}
	return nil
}

// set changes what is in memory.
func (r *Routes) set(stream chat.StreamID, connector int, open bool) {
	connectors := r.open[stream]
	at, found := slices.BinarySearch(connectors, connector)
	switch {
	case open && !found:
		r.open[stream] = slices.Insert(connectors, at, connector)
	case !open && found:
		connectors = slices.Delete(connectors, at, at+1)
		if r.open[stream] = connectors; len(connectors) == 0 {
			delete(r.open, stream)
		}
	}
}

// load reads the open routes into memory.
func (r *Routes) load() (err error) {
	it, err := r.s.iterate(context.Background(), []byte{kindRoute})
	if err != nil {
		return err
	}
	defer finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		key, row := it.Key(), it.Value()
		prefix := split(key)
		if len(key) != prefix+4 || len(row) != 9 {
			return damaged(key)
		}
		if row[8] == 1 {
			r.set(chat.StreamID(key[1:prefix-1]), int(binary.BigEndian.Uint32(key[prefix:])), true)
		}
	}
	if err := it.Error(); err != nil {
		return unavailable(err)
	}
	return nil
}

// Connectors implements [chat.RouteStore]. Errors: Unavailable.
func (r *Routes) Connectors(ctx context.Context, streams []chat.StreamID) (map[chat.StreamID][]int, error) {
	if err := r.s.enter(ctx); err != nil {
		return nil, err
	}
	defer r.s.leave()
	r.view.RLock()
	defer r.view.RUnlock()
	found := make(map[chat.StreamID][]int, len(streams))
	for _, stream := range streams {
		if connectors := r.open[stream]; len(connectors) > 0 && found[stream] == nil {
			found[stream] = slices.Clone(connectors)
		}
	}
	return found, nil
}
