package pebble

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// The index knows the lowest Analysis of its documents. Postings do not say whose
// they are, so an index that is stale is emptied and made anew.

// noAnalysis is that of an empty index.
const noAnalysis = -1

// loadAnalysis reads the lowest Analysis. A store that has documents and doesn't say
// was written when there was but one, which is 0.
func (x *Index) loadAnalysis() (err error) {
	v, ok, err := x.s.get([]byte{kindAnalysis})
	if err != nil {
		return err
	}
	if ok {
		analysis, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			return damaged([]byte{kindAnalysis})
		}
		x.analysis.Store(analysis)
		return nil
	}
	it, err := x.s.iterate(context.Background(), []byte{kindDocument})
	if err != nil {
		return err
	}
	defer finish(it, &err)
	if x.analysis.Store(noAnalysis); it.First() {
		x.analysis.Store(0)
	}
	return nil
}

// lowest is the lowest Analysis once the documents are there too.
func (x *Index) lowest(docs []chat.Document) int {
	lowest := int(x.analysis.Load())
	for i := range docs {
		if a := docs[i].Analysis; lowest == noAnalysis || a < lowest {
			lowest = a
		}
	}
	return lowest
}

func setAnalysis(b *pebble.Batch, analysis int) {
	_ = b.Set([]byte{kindAnalysis}, strconv.AppendInt(nil, int64(analysis), 10), nil)
}

// Stale implements [chat.SearchIndex]. Errors: Unavailable.
func (x *Index) Stale(ctx context.Context, analysis int) (bool, error) {
	if err := x.s.enter(ctx); err != nil {
		return false, err
	}
	defer x.s.leave()
	lowest := int(x.analysis.Load())
	return lowest != noAnalysis && lowest < analysis, nil
}

// Refresh implements [chat.SearchIndex]: what is not among the events is gone from
// the index. Errors: Unavailable; those of the events and of document.
func (x *Index) Refresh(ctx context.Context, analysis int, events chat.EventStore, document func(*chat.Event) (chat.Document, error)) (bool, error) {
	stale, err := x.Stale(ctx, analysis)
	if err != nil || !stale {
		return false, err
	}
	slog.Info("the search index is brought up to date, which takes some minutes for a million messages")
	if err := x.Wipe(ctx); err != nil {
		return false, err
	}
	// Until all is there the index says that it is stale, so that whoever is
	// interrupted begins again.
	if err := x.become(analysis - 1); err != nil {
		return false, err
	}
	err = events.Scan(ctx, func(messages []chat.Event) error {
		docs := make([]chat.Document, 0, len(messages))
		for i := range messages {
			d, err := document(&messages[i])
			if err != nil {
				return err
			}
			docs = append(docs, d)
		}
		return x.Put(ctx, docs)
	})
	if err != nil {
		return false, fmt.Errorf("refreshing the index: %w", err)
	}
	return true, x.become(analysis)
}

// become sets the lowest Analysis.
func (x *Index) become(analysis int) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	b := x.s.db.NewBatch()
	setAnalysis(b, analysis)
	if err := x.s.commit(b, pebble.Sync); err != nil {
		return err
	}
	x.analysis.Store(int64(analysis))
	return nil
}
