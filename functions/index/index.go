// Package index is the function that makes messages findable: it follows the log
// and puts the terms of every message into the search index, and of every edit.
package index

import (
	"context"
	"fmt"
	"runtime"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/analysis"
	"knatter.dev/chat/internal/facts"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/serve"
)

// Spec declares the function.
var Spec = function.Spec{
	Name:    chat.Index.Name,
	Summary: "Puts the terms of messages into the search index. It takes events by POST /.",
	// Batched, so that concurrent requests share a commit.
	Events:     func(d function.Deps) chat.Handler { return serve.NewBatcher(New(d)) },
	Background: func(ctx context.Context, d function.Deps) { keepFresh(ctx, d.Index, d.Events) },
}

// Function indexes messages, their edits and their deletions. It is stateless: what it
// does twice is in the index once.
type Function struct {
	index chat.SearchIndex
}

var _ chat.Handler = (*Function)(nil)

// New returns the function.
func New(d function.Deps) *Function { return &Function{index: d.Index} }

// messagesInARow are analysed before others get their turn: where functions share
// a process with what delivers messages, those are in more of a hurry.
const messagesInARow = 4

// HandleEvents implements [chat.Handler]. Errors: Invalid for an event that cannot be
// read; the index's own.
func (f *Function) HandleEvents(ctx context.Context, events []chat.Event) error {
	docs := make([]chat.Document, 0, len(events))
	for i := range events {
		e := &events[i]
		if e.Stream.Own() || !chat.Index.Handles(e.Type) {
			continue
		}
		if len(docs)%messagesInARow == messagesInARow-1 {
			runtime.Gosched()
		}
		// A message without a single term is put too: of those with the same ID the
		// first counts, whatever is in it.
		d, err := documentOf(e)
		if err != nil {
			return err
		}
		if d.About < d.Sequence { // or it was not there to be changed
			docs = append(docs, d)
		}
	}
	if len(docs) == 0 {
		return nil
	}
	if err := f.index.Put(ctx, docs); err != nil {
		return fmt.Errorf("indexing %d messages: %w", len(docs), err)
	}
	return nil
}

// documentOf is what an event says of a message, as it is indexed. Errors: Invalid for
// one that cannot be read; the document has no terms then.
func documentOf(e *chat.Event) (chat.Document, error) {
	d := chat.Document{
		Room: e.Stream.Room(), Sequence: e.Sequence, Source: e.Source, ID: e.ID, Time: e.Time,
		Analysis: analysis.Version, Origin: e.Origin,
	}
	switch e.Type {
	case chat.MessageEdited:
		var edited chat.Edited
		if err := e.Decode(&edited); err != nil {
			return d, err
		}
		d.About = edited.Message
		d.Terms = append(analysis.Terms(edited.Text), facts.OfText(edited.Text, edited.Mentions)...)
	case chat.MessageDeleted:
		var deleted chat.About
		if err := e.Decode(&deleted); err != nil {
			return d, err
		}
		d.About, d.Deleted = deleted.Message, true
	default:
		var posted chat.Posted
		if err := e.Decode(&posted); err != nil {
			return d, err
		}
		d.Terms = append(analysis.Terms(posted.Text), facts.OfText(posted.Text, posted.Mentions)...)
		d.Terms = append(d.Terms, facts.OfAttachments(posted.Attachments)...)
	}
	return d, nil
}
