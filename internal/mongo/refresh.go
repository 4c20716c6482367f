package mongo

import (
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
	docs, err := x.stale(ctx, analysis, 1, 0)
	return len(docs) > 0, err
}

func (x *Index) stale(ctx context.Context, analysis, limit, skip int) (docs []document, err error) {
	err = again(ctx, func(bool) (err error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		docs, err = find[document](ctx, x.all, stale(analysis), limited(limit).SetSkip(int64(skip)))
		return err
	})
	return docs, err
}

// Refresh implements [chat.SearchIndex]: documents are replaced where they are, and
// those whose messages are not among the events stay stale. Errors: Unavailable;
// those of the events and of document.
func (x *Index) Refresh(ctx context.Context, analysis int, events chat.EventStore, document func(*chat.Event) (chat.Document, error)) (bool, error) {
	changed, missing := 0, 0
	for {
		docs, err := x.stale(ctx, analysis, refreshed, missing)
		if err != nil {
			return false, err
		}
		if len(docs) == 0 {
			return changed > 0, nil
		}
		if changed == 0 {
			slog.Info("the search index is brought up to date")
		}
		var updates []mongo.WriteModel
		for i := range docs {
			update, err := refresh(ctx, &docs[i], events, document)
			if err != nil {
				return false, fmt.Errorf("refreshing the index: %w", err)
			}
			if update != nil {
				updates = append(updates, update)
			}
		}
		missing += len(docs) - len(updates)
		if len(updates) == 0 {
			continue
		}
		err = again(ctx, func(bool) error {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			_, err := modify(ctx, x.all, updates)
			return err
		})
		if err != nil {
			return false, err
		}
		changed += len(updates)
	}
}

// refresh is the update of a stale document, nil when its message is not there. It
// does nothing to a document that has become another one meanwhile.
func refresh(ctx context.Context, d *document, events chat.EventStore, document func(*chat.Event) (chat.Document, error)) (mongo.WriteModel, error) {
	only := chat.Range{After: d.Sequence - 1, Before: d.Sequence + 1, Limit: 1}
	messages, _, err := events.Messages(ctx, d.Room, only)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	fresh, err := document(&messages[0])
	if err != nil {
		return nil, err
	}
	terms := append(slices.Clone(fresh.Terms), senderTerm(messages[0].User()))
	where := bson.D{{Key: "_id", Value: d.ID}, {Key: "room", Value: d.Room}, {Key: "sequence", Value: d.Sequence}}
	return mongo.NewUpdateOneModel().SetFilter(where).
		SetUpdate(set(bson.E{Key: "terms", Value: terms}, bson.E{Key: "analysis", Value: fresh.Analysis})), nil
}
