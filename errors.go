package chat

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of failure an error is. It decides the HTTP status, the
// close code, and whether an event is retried or put with the dead letters;
// those translations live at the edges (internal/serve, connector), never here.
type Kind int

// The kinds, with the HTTP status that the edges give them.
const (
	Internal        Kind = iota // 500: a fault of ours; retried
	Malformed                   // 400: cannot be read at all
	Unauthenticated             // 401: no, bad, expired or revoked token
	Forbidden                   // 403: known, and not allowed
	NotFound                    // 404: no such thing, or not for the caller to know
	Conflict                    // 409: taken
	TooLarge                    // 413: over a size limit
	Invalid                     // 422: readable, and against a rule
	TooMany                     // 429: over a rate or a count
	Unavailable                 // 503: something we need is away; retried
)

// Error is an error with a kind and a detail that may be shown to the caller.
type Error struct {
	Kind   Kind
	Reason string // which of the kind's, for programs, as in nickname-too-long; empty where the kind says it all
	Detail string // for people; never holds message text or tokens
	Err    error  // the cause, for logs; may be nil

	After time.Duration // when the same may do, where that is known; for TooMany
}

// Errorf returns an *Error of the kind; format and args are as in fmt.Errorf,
// so %w wraps the cause.
func Errorf(kind Kind, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Detail: err.Error(), Err: errors.Unwrap(err)}
}

// Invalidf is Errorf for an error that is Invalid for the reason, so that the page can
// say it in the user's language. Reasons are listed in openapi.yaml.
func Invalidf(reason, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: Invalid, Reason: reason, Detail: err.Error(), Err: errors.Unwrap(err)}
}

func (e *Error) Error() string { return e.Detail }

func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of the first *Error in err's chain, Internal if there is
// none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Never reports whether handling the same event again would fail in the same way,
// so that it belongs with the dead letters instead of being retried.
func (k Kind) Never() bool {
	switch k {
	case Internal, TooMany, Unavailable:
		return false
	}
	return true
}
