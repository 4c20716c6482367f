// Package share merges concurrent queries of the same kind into one.
package share

import (
	"context"
	"sync"

	"knatter.dev/chat"
)

// Query merges concurrent questions: while one query runs, the questions for the next
// one gather. So callers that wait for a busy store or log wait for one query, and not
// each for their own. Nobody gets an answer that was read before they asked.
type Query[Q, A any] struct {
	do   func(ctx context.Context, asked []Q) (A, error)
	turn chan struct{} // held by the caller that runs a query

	mu      sync.Mutex
	gathers *query[Q, A] // nil if nobody waits
}

type query[Q, A any] struct {
	asked  []Q
	done   chan struct{} // closed when the fields below are set
	answer A
	err    error
}

// NewQuery returns a query that calls do with everything that was asked together. The
// context of do does not end, so do must limit itself. Its answer goes to all who
// asked, and must not be changed.
func NewQuery[Q, A any](do func(ctx context.Context, asked []Q) (A, error)) *Query[Q, A] {
	return &Query[Q, A]{do: do, turn: make(chan struct{}, 1)}
}

// Ask asks a question, together with other callers. Errors: Unavailable if ctx ends
// before the query begins, those of the query.
func (s *Query[Q, A]) Ask(ctx context.Context, asked ...Q) (A, error) {
	q := s.join(asked)
	select {
	case <-q.done:
	case s.turn <- struct{}{}:
		s.carryOut(ctx, q)
	case <-ctx.Done():
		var none A
		return none, chat.Errorf(chat.Unavailable, "waiting for another query: %w", ctx.Err())
	}
	return q.answer, q.err
}

func (s *Query[Q, A]) join(asked []Q) *query[Q, A] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gathers == nil {
		s.gathers = &query[Q, A]{done: make(chan struct{})}
	}
	s.gathers.asked = append(s.gathers.asked, asked...)
	return s.gathers
}

// carryOut runs q unless another caller has done so. The caller holds the turn. A
// caller that gives up must not fail the others, so its context does not end the query.
func (s *Query[Q, A]) carryOut(ctx context.Context, q *query[Q, A]) {
	defer func() { <-s.turn }()
	s.mu.Lock()
	mine := s.gathers == q
	if mine {
		s.gathers = nil
	}
	s.mu.Unlock()
	if !mine {
		<-q.done
		return
	}
	defer close(q.done)
	q.err = chat.Errorf(chat.Internal, "the query panicked") // unless it returns
	q.answer, q.err = s.do(context.WithoutCancel(ctx), q.asked)
}
