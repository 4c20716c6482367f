package mongo

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"knatter.dev/chat"
)

// stale is the condition for documents of a lower analysis. Those that don't say are
// of the first one.
func stale(analysis int) bson.D {
	older := bson.A{nil}
	for a := range analysis {
		older = append(older, a)
	}
	return bson.D{among("analysis", older)}
}

// refreshed is how many documents one step of a refresh changes: few, as a busy server
// may sync each of them by itself.
const refreshed = 20

// Stale implements [chat.SearchIndex]. Errors: Unavailable.
func (x *Index) Stale(ctx context.Context, analysis int) (bool, error) {
	for _, c := range []*mongo.Collection{x.all, x.changes} {
		docs, err := findStale(ctx, c, analysis, 1, 0)
		if err != nil || len(docs) > 0 {
			return len(docs) > 0, err
		}
	}
	return false, nil
}

// staleDoc is a message or a change.
type staleDoc struct {
	ID       string        `bson:"_id"`
	Room     chat.RoomID   `bson:"room"`
	Sequence chat.Sequence `bson:"sequence"`
	Message  chat.Sequence `bson:"message"` // of a change
	Own      []string      `bson:"own"`     // of a message that was changed
}

func findStale(ctx context.Context, c *mongo.Collection, analysis, limit, skip int) (docs []staleDoc, err error) {
	err = again(ctx, func(bool) (err error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		docs, err = find[staleDoc](ctx, c, stale(analysis), limited(limit).SetSkip(int64(skip)))
		return err
	})
	return docs, err
}

// Refresh implements [chat.SearchIndex]: documents are replaced where they are, and
// those whose events are not there stay stale. Errors: Unavailable; those of the events
// and of document.
func (x *Index) Refresh(ctx context.Context, analysis int, events chat.EventStore, document func(*chat.Event) (chat.Document, error)) (bool, error) {
	r := &refresher{x: x, analysis: analysis, events: events, document: document}
	for _, c := range []*mongo.Collection{x.all, x.changes} {
		if err := r.refresh(ctx, c); err != nil {
			return false, err
		}
	}
	return r.changed > 0, nil
}

// refresher brings an index up to date.
type refresher struct {
	x        *Index
	analysis int
	events   chat.EventStore
	document func(*chat.Event) (chat.Document, error)
	changed  int
}

// refresh does so with one collection. What a changed message is found by follows from
// several documents, which are up to date only once that is too.
func (r *refresher) refresh(ctx context.Context, c *mongo.Collection) error {
	for missing := 0; ; {
		docs, err := findStale(ctx, c, r.analysis, refreshed, missing)
		if err != nil || len(docs) == 0 {
			return err
		}
		if r.changed == 0 {
			slog.Info("the search index is brought up to date")
		}
		var terms, analyses []mongo.WriteModel
		concerned := make(messages)
		for i := range docs {
			d := &docs[i]
			event, err := r.event(ctx, d)
			if err != nil || event == nil {
				if err != nil {
					return fmt.Errorf("refreshing the index: %w", err)
				}
				continue
			}
			fresh, err := r.document(event)
			if err != nil {
				return fmt.Errorf("refreshing the index: %w", err)
			}
			upToDate := bson.E{Key: "analysis", Value: fresh.Analysis}
			if !d.changed() {
				terms = append(terms, d.update(d.terms(&fresh, event.User()), upToDate))
				continue
			}
			concerned.add(d.Room, cmp.Or(d.Message, d.Sequence))
			terms = append(terms, d.update(d.terms(&fresh, event.User())))
			analyses = append(analyses, d.update(upToDate))
		}
		if err := r.write(ctx, c, terms); err != nil {
			return err
		}
		if err := r.x.settle(ctx, concerned); err != nil {
			return err
		}
		if err := r.write(ctx, c, analyses); err != nil {
			return err
		}
		missing += len(docs) - len(terms)
		r.changed += len(terms)
	}
}

// event is the event of a document, nil when it is not there.
func (r *refresher) event(ctx context.Context, d *staleDoc) (*chat.Event, error) {
	only := chat.Range{After: d.Sequence - 1, Before: d.Sequence + 1, Limit: 1}
	read := r.events.Messages
	if d.Message != 0 {
		read = r.events.Events
	}
	events, _, err := read(ctx, d.Room, only)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	return &events[0], nil
}

// changed reports whether the document is a change, or a message that has some.
func (d *staleDoc) changed() bool { return d.Message != 0 || d.Own != nil }

// terms are the document's own terms, anew.
func (d *staleDoc) terms(fresh *chat.Document, sender chat.UserID) bson.E {
	switch {
	case d.Message != 0:
		return bson.E{Key: "terms", Value: slices.DeleteFunc(slices.Clone(fresh.Terms), lasting)}
	case d.Own != nil:
		return bson.E{Key: "own", Value: append(slices.Clone(fresh.Terms), senderTerm(sender))}
	}
	return bson.E{Key: "terms", Value: append(slices.Clone(fresh.Terms), senderTerm(sender))}
}

// update does nothing to a document that has become another one meanwhile.
func (d *staleDoc) update(fields ...bson.E) mongo.WriteModel {
	where := bson.D{{Key: "_id", Value: d.ID}, {Key: "room", Value: d.Room}, {Key: "sequence", Value: d.Sequence}}
	if !d.changed() {
		where = append(where, bson.E{Key: "own", Value: nil})
	}
	return mongo.NewUpdateOneModel().SetFilter(where).SetUpdate(set(fields...))
}

func (r *refresher) write(ctx context.Context, c *mongo.Collection, updates []mongo.WriteModel) error {
	if len(updates) == 0 {
		return nil
	}
	return again(ctx, func(bool) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		_, err := modify(ctx, c, updates)
		return err
	})
}
