// Package share lets callers who ask for the same kind of thing at the same time ask
// once.
package share

import (
	"context"
	"sync"

	"knatter.dev/chat"
)

// Query makes concurrent questions share one query: while one is under way the next
// one gathers. So those who wait for a busy store or log wait for one query, not
// each for one of their own. Nobody gets what was read before they asked.
type Query[Q, A any] struct {
	do   func(ctx context.Context, asked []Q) (A, error)
	turn chan struct{} // held by the caller that carries a query out

	mu      sync.Mutex
	gathers *query[Q, A] // nil when nobody waits
}

type query[Q, A any] struct {
	asked  []Q
	done   chan struct{} // closed when the fields below are set
	answer A
	err    error
}

// NewQuery returns a query that do carries out, with all that is asked together and a
// context that does not end: do has to bound itself. Its answer goes to all who
// asked, so they must not change it.
func NewQuery[Q, A any](do func(ctx context.Context, asked []Q) (A, error)) *Query[Q, A] {
	return &Query[Q, A]{do: do, turn: make(chan struct{}, 1)}
}

// Ask asks, together with others. Errors: Unavailable when ctx ends before the query
// begins, those of the query.
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

// carryOut has the turn, and carries q out unless somebody has done so before. A
// caller that gives up must not fail the others, so its context doesn't end the
// query.
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
