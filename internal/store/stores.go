// Package store says what an adapter of stores has to have.
package store

import (
	"context"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// Stores are all stores of one adapter.
type Stores struct {
	Events   projection.Events
	Rooms    projection.Rooms
	Accounts chat.AccountStore
	Sessions chat.SessionStore
	Attempts chat.AttemptStore
	Invites  chat.InviteStore
	Routes   chat.RouteStore
	Index    chat.SearchIndex
	Progress chat.ProgressStore
}

// Adapter keeps stores somewhere.
type Adapter interface {
	Stores() Stores

	// Check reports whether the stores can still be read and written; once they cannot
	// for good, a new start is what helps. Errors: Unavailable.
	Check(ctx context.Context) error

	// Close waits for calls in flight and closes the stores. None may be used any
	// more.
	Close() error
}
