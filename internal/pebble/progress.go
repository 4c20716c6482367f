package pebble

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// Progress is what the store knows of the log.
type Progress struct {
	s  *Store
	mu sync.Mutex // the lineage is read, then written
}

var _ chat.ProgressStore = (*Progress)(nil)

// Progress implements [chat.ProgressStore]. Errors: Unavailable.
func (p *Progress) Progress(ctx context.Context) (applied []chat.Applied, err error) {
	if err := p.s.enter(ctx); err != nil {
		return nil, err
	}
	defer p.s.leave()
	for _, store := range []string{chat.StoreEvents, chat.StoreRooms, chat.StoreIndex, chat.StoreRoutes} {
		at, err := p.s.readMarks(ctx, store)
		if err != nil {
			return nil, err
		}
		for partition, m := range at {
			applied = append(applied, chat.Applied{Store: store, Partition: partition, Done: m.Done, Highest: m.Highest})
		}
	}
	return applied, nil
}

// Note implements [chat.ProgressStore]. Errors: Invalid, Unavailable.
func (p *Progress) Note(ctx context.Context, applied ...chat.Applied) error {
	if err := p.s.enter(ctx); err != nil {
		return err
	}
	defer p.s.leave()
	for _, a := range applied {
		m, mu := p.marksOf(a.Store)
		if m == nil {
			return chat.Errorf(chat.Invalid, "there is no store %q", a.Store)
		}
		if err := p.note(m, mu, moves{a.Partition: {Done: a.Done, Highest: a.Highest}}); err != nil {
			return err
		}
	}
	return nil
}

func (p *Progress) note(m *marks, mu *sync.Mutex, moved moves) error {
	mu.Lock()
	defer mu.Unlock()
	b := p.s.db.NewBatch()
	m.put(b, moved)
	if err := p.s.commit(b, pebble.Sync); err != nil {
		return err
	}
	m.keep(moved)
	return nil
}

// marksOf are a store's marks, and what guards them; nil if there is no such store.
func (p *Progress) marksOf(store string) (*marks, *sync.Mutex) {
	switch s := p.s; store {
	case chat.StoreEvents:
		return &s.events.marks, &s.events.mu
	case chat.StoreRooms:
		return &s.rooms.marks, &s.rooms.mu
	case chat.StoreIndex:
		return &s.index.marks, &s.index.mu
	case chat.StoreRoutes:
		return &s.routes.marks, &s.routes.mu
	}
	return nil, nil
}

// Lineage implements [chat.ProgressStore]. Errors: Unavailable.
func (p *Progress) Lineage(ctx context.Context) (chat.Lineage, error) {
	if err := p.s.enter(ctx); err != nil {
		return chat.Lineage{}, err
	}
	defer p.s.leave()
	return p.lineage()
}

func (p *Progress) lineage() (l chat.Lineage, err error) {
	_, err = getJSON(p.s.db, []byte{kindLineage}, &l)
	return l, err
}

// SetLineage implements [chat.ProgressStore]. Errors: Conflict, Unavailable.
func (p *Progress) SetLineage(ctx context.Context, l, follows chat.Lineage) error {
	if err := p.s.enter(ctx); err != nil {
		return err
	}
	defer p.s.leave()
	p.mu.Lock()
	defer p.mu.Unlock()
	was, err := p.lineage()
	if err != nil {
		return err
	}
	if !was.Equal(follows) {
		return chat.Errorf(chat.Conflict, "the log's generations were changed meanwhile")
	}
	row, err := json.Marshal(l)
	if err != nil {
		return chat.Errorf(chat.Internal, "lineage: %w", err)
	}
	b := p.s.db.NewBatch()
	_ = b.Set([]byte{kindLineage}, row, nil)
	return p.s.commit(b, pebble.Sync)
}

// marks are how far one of the stores is, by partition. They are written with what
// they are about, under that store's mutex.
type marks struct {
	store string
	at    map[int32]chat.Reach
}

// moves are what a batch changes of marks.
type moves map[int32]chat.Reach

func (m *moves) add(o *chat.Origin, s chat.Sequence) {
	if o == nil {
		return
	}
	if *m == nil {
		*m = make(moves)
	}
	at := (*m)[o.Partition]
	at.Add(o, s)
	(*m)[o.Partition] = at
}

// put notes the moves in the batch that they are of.
func (m *marks) put(b *pebble.Batch, moved moves) {
	for partition, to := range moved {
		was := m.at[partition]
		to = was.With(to)
		moved[partition] = to
		if to.Done != was.Done || to.Highest != was.Highest {
			_ = b.Set(progressKey(m.store, partition), appendSequence(appendSequence(nil, to.Done), to.Highest), nil)
		}
	}
}

// keep is called when the batch is durable.
func (m *marks) keep(moved moves) {
	if m.at == nil && len(moved) > 0 {
		m.at = make(map[int32]chat.Reach, len(moved))
	}
	for partition, to := range moved {
		m.at[partition] = to
	}
}

// passed reports whether something of a partition from a sequence on may be stored.
func (m *marks) passed(o *chat.Origin, s chat.Sequence) bool {
	if o == nil {
		return true
	}
	at, known := m.at[o.Partition]
	return !known || s <= at.Highest
}

func progressKey(store string, partition int32) []byte {
	return binary.BigEndian.AppendUint32(appendName(nil, kindProgress, store), uint32(partition))
}

// loadMarks reads the marks of all stores into memory.
func (s *Store) loadMarks() (err error) {
	for _, m := range []*marks{&s.events.marks, &s.rooms.marks, &s.index.marks, &s.routes.marks} {
		if m.at, err = s.readMarks(context.Background(), m.store); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) readMarks(ctx context.Context, store string) (at map[int32]chat.Reach, err error) {
	prefix := appendName(nil, kindProgress, store)
	it, err := s.iterate(ctx, prefix)
	if err != nil {
		return nil, err
	}
	defer finish(it, &err)
	at = make(map[int32]chat.Reach)
	for ok := it.First(); ok; ok = it.Next() {
		key, row := it.Key(), it.Value()
		if len(key) != len(prefix)+4 || len(row) != 16 {
			return nil, damaged(key)
		}
		done, _ := sequence(row)
		highest, _ := sequence(row[8:])
		at[int32(binary.BigEndian.Uint32(key[len(prefix):]))] = chat.Reach{Done: done, Highest: highest}
	}
	if err := it.Error(); err != nil {
		return nil, unavailable(err)
	}
	return at, nil
}
