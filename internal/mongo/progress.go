package mongo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
)

// Progress is what the store knows of the log.
type Progress struct {
	all *mongo.Collection
}

var _ chat.ProgressStore = (*Progress)(nil)

// noteEvery is the least time between two notes of how far a store is: each is a
// write more. So a note can be late, never early.
const noteEvery = time.Second

// lineageID is the document of the lineage; those of marks have a space.
const lineageID = "lineage"

type markDoc struct {
	Store     string        `bson:"store"`
	Partition int32         `bson:"partition"`
	Done      chat.Sequence `bson:"done"`
	Highest   chat.Sequence `bson:"highest"`
}

type lineageDoc struct {
	ID       string       `bson:"_id"`
	Revision int64        `bson:"revision"`
	Lineage  chat.Lineage `bson:"lineage"`
}

// Progress implements [chat.ProgressStore]. Errors: Unavailable.
func (p *Progress) Progress(ctx context.Context) ([]chat.Applied, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	docs, err := find[markDoc](ctx, p.all, bson.D{{Key: "_id", Value: bson.D{{Key: "$ne", Value: lineageID}}}}, options.Find())
	if err != nil {
		return nil, err
	}
	applied := make([]chat.Applied, len(docs))
	for i, d := range docs {
		applied[i] = chat.Applied{Store: d.Store, Partition: d.Partition, Done: d.Done, Highest: d.Highest}
	}
	return applied, nil
}

// Note implements [chat.ProgressStore]. Errors: Invalid, Unavailable.
func (p *Progress) Note(ctx context.Context, applied ...chat.Applied) error {
	var updates []mongo.WriteModel
	for _, a := range applied {
		if !slices.Contains(noted, a.Store) {
			return chat.Errorf(chat.Invalid, "there is no store %q", a.Store)
		}
		updates = append(updates, noteOf(a.Store, a.Partition, a.Done, a.Highest))
	}
	return writeNotes(ctx, p.all, updates)
}

// noted are the stores that there are notes of.
var noted = []string{chat.StoreEvents, chat.StoreRooms, chat.StoreIndex, chat.StoreRoutes}

// noteOf raises what is noted of a store's partition.
func noteOf(store string, partition int32, done, highest chat.Sequence) mongo.WriteModel {
	return mongo.NewUpdateOneModel().SetFilter(bson.D{{Key: "_id", Value: fmt.Sprintf("%s %d", store, partition)}}).SetUpsert(true).SetUpdate(bson.D{
		{Key: "$max", Value: bson.D{{Key: "done", Value: done}, {Key: "highest", Value: highest}}},
		{Key: "$setOnInsert", Value: bson.D{{Key: "store", Value: store}, {Key: "partition", Value: partition}}},
	})
}

func writeNotes(ctx context.Context, all *mongo.Collection, updates []mongo.WriteModel) error {
	if len(updates) == 0 {
		return nil
	}
	return again(ctx, func(bool) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		_, err := modify(ctx, all, updates)
		if hasCode(err, codeDuplicateKey) { // somebody made one at the same time; now it is there
			_, err = modify(ctx, all, updates)
		}
		return err
	})
}

// Lineage implements [chat.ProgressStore]. Errors: Unavailable.
func (p *Progress) Lineage(ctx context.Context) (chat.Lineage, error) {
	d, err := p.lineage(ctx)
	return d.Lineage, err
}

func (p *Progress) lineage(ctx context.Context) (lineageDoc, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	docs, err := find[lineageDoc](ctx, p.all, bson.D{{Key: "_id", Value: lineageID}}, limited(1))
	if err != nil || len(docs) == 0 {
		return lineageDoc{}, err
	}
	return docs[0], nil
}

// SetLineage implements [chat.ProgressStore]. Errors: Conflict, Unavailable.
func (p *Progress) SetLineage(ctx context.Context, l, follows chat.Lineage) error {
	was, err := p.lineage(ctx)
	if err != nil {
		return err
	}
	taken := chat.Errorf(chat.Conflict, "the log's generations were changed meanwhile")
	if !was.Lineage.Equal(follows) {
		return taken
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	next := lineageDoc{ID: lineageID, Revision: was.Revision + 1, Lineage: l}
	if was.ID == "" {
		_, err = p.all.InsertOne(ctx, next)
	} else {
		var done *mongo.UpdateResult
		done, err = p.all.ReplaceOne(ctx, bson.D{{Key: "_id", Value: lineageID}, {Key: "revision", Value: was.Revision}}, next)
		if err == nil && done.MatchedCount == 0 {
			return taken
		}
	}
	if hasCode(err, codeDuplicateKey) {
		return taken
	}
	return failure(err)
}

// marks are how far a store is, by partition, as far as this process knows. They are
// written after what they are about.
type marks struct {
	store string
	all   *mongo.Collection

	mu    sync.Mutex
	at    map[int32]chat.Reach
	dirty map[int32]bool
	noted time.Time
	later *time.Timer // notes what has moved since; nil if nothing waits
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

// note notes what was stored, now or within a second.
func (m *marks) note(ctx context.Context, moved moves) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for partition, to := range moved {
		if m.at == nil {
			m.at, m.dirty = make(map[int32]chat.Reach), make(map[int32]bool)
		}
		m.at[partition] = m.at[partition].With(to)
		m.dirty[partition] = true
	}
	pause := noteEvery - time.Since(m.noted)
	if pause <= 0 {
		return m.flush(ctx)
	}
	if m.later == nil && len(moved) > 0 {
		m.later = time.AfterFunc(pause, m.flushLater)
	}
	return nil
}

// flushLater notes what no later batch has. What fails waits for the next one.
func (m *marks) flushLater() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.later = nil
	if err := m.flush(context.Background()); err != nil {
		slog.Warn("how far the store is could not be noted", slog.String("store", m.store), slog.Any("error", err))
	}
}

// stop notes what has moved, for the last time.
func (m *marks) stop(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.later != nil {
		m.later.Stop()
	}
	return m.flush(ctx)
}

// flush writes the marks that have moved. It is called with m.mu held.
func (m *marks) flush(ctx context.Context) error {
	var updates []mongo.WriteModel
	for partition := range m.dirty {
		at := m.at[partition]
		updates = append(updates, noteOf(m.store, partition, at.Done, at.Highest))
	}
	if err := writeNotes(ctx, m.all, updates); err != nil {
		return err
	}
	clear(m.dirty)
	m.noted = time.Now()
	return nil
}

// forget deletes the marks.
func (m *marks) forget(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := m.all.DeleteMany(ctx, bson.D{{Key: "store", Value: m.store}})
	clear(m.at)
	clear(m.dirty)
	return failure(err)
}

// flushMarks notes how far the stores are, when they close.
func (s *Store) flushMarks(ctx context.Context) (err error) {
	for _, m := range []*marks{s.events.marks, s.rooms.marks, s.index.marks, s.routes.marks} {
		err = errors.Join(err, m.stop(ctx))
	}
	return err
}
