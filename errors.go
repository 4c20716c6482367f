package chat

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the kind of an error. It decides the HTTP status, the close code, and whether
// an event is retried or becomes a dead letter. The translation is made at the edges
// (internal/serve, connector), never here.
type Kind int

// The kinds, with their HTTP statuses.
const (
	Internal        Kind = iota // 500: our fault; retried
	Malformed                   // 400: not well-formed
	Unauthenticated             // 401: missing, invalid, expired or revoked token
	Forbidden                   // 403: authenticated, but not allowed
	NotFound                    // 404: does not exist, or the caller may not know that it does
	Conflict                    // 409: already taken
	TooLarge                    // 413: exceeds a size limit
	Invalid                     // 422: well-formed, but violates a rule
	TooMany                     // 429: exceeds a rate or a count
	Unavailable                 // 503: a dependency is unavailable; retried
)

// Error is an error with a kind and a detail that may be shown to the caller.
type Error struct {
	Kind   Kind
	Reason string // for programs, such as nickname-too-long; empty if the kind says enough
	Detail string // for people; never holds message text or tokens
	Err    error  // the cause, for logs; may be nil

	After time.Duration // when the same may do, where that is known; for TooMany
}

// Errorf returns an *Error of the kind. format and args are those of fmt.Errorf, so %w
// wraps the cause.
func Errorf(kind Kind, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Detail: err.Error(), Err: errors.Unwrap(err)}
}

// Invalidf is Errorf for kind Invalid with a reason, so that the page can translate it.
// The reasons are listed in openapi.yaml.
func Invalidf(reason, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: Invalid, Reason: reason, Detail: err.Error(), Err: errors.Unwrap(err)}
}

func (e *Error) Error() string { return e.Detail }

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first *Error in err's chain, or Internal if there is
// none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Never reports whether handling the same event again would fail in the same way, so
// that the event belongs to the dead letters instead of being retried.
func (k Kind) Never() bool {
	switch k {
	case Internal, TooMany, Unavailable:
		return false
	}
	return true
}
