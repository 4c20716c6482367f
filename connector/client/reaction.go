package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/fasthttp/websocket"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/wait"
)

// The connector's own close codes.
const (
	closeNotAnEvent   = 4400
	closeUnauthorized = 4401
	closeForbidden    = 4403
	closeTooMany      = 4429
)

// reaction is what to do after the end of a link.
type reaction int

const (
	backOff    reaction = iota // reconnect with back-off, resume
	atOnce                     // reconnect at once, resume
	logInAgain                 // reconnect with another token, if there is one
	giveUp                     // it would happen again
)

// reactionTo implements the column "client should" of the protocol's close codes. After
// a connection that broke without a code, another one is worth a try.
func reactionTo(err error) reaction {
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
		switch closed.Code {
		case websocket.CloseGoingAway:
			return atOnce
		case closeUnauthorized:
			return logInAgain
		case websocket.CloseUnsupportedData, websocket.CloseInvalidFramePayloadData, websocket.CloseMessageTooBig,
			closeNotAnEvent, closeForbidden:
			return giveUp
		}
		return backOff
	}
	if refused, ok := errors.AsType[*chat.Error](err); ok {
		switch {
		case refused.Kind == chat.Unauthenticated:
			return logInAgain
		case refused.Kind.Never():
			return giveUp
		}
	}
	return backOff
}

// endError returns err as callers see it: a close code becomes the kind for it.
func endError(err error) error {
	closed, ok := errors.AsType[*websocket.CloseError](err)
	if !ok {
		return err
	}
	kind := chat.Unavailable
	switch closed.Code {
	case closeUnauthorized:
		kind = chat.Unauthenticated
	case closeForbidden:
		kind = chat.Forbidden
	case closeTooMany:
		kind = chat.TooMany
	case websocket.CloseMessageTooBig:
		kind = chat.TooLarge
	case websocket.CloseUnsupportedData, websocket.CloseInvalidFramePayloadData, closeNotAnEvent:
		kind = chat.Malformed
	}
	return chat.Errorf(kind, "the server closed the connection: %w", closed)
}

// firstPause is the longest pause before the first attempt to reconnect.
const firstPause = 200 * time.Millisecond

// backoff determines the pauses between attempts. Each limit is twice the one before,
// and a pause is between half and all of its limit, so that clients that were cut off
// together do not come back together.
type backoff struct {
	max   time.Duration
	tries int
	last  time.Duration
	now   bool // skip the next pause
}

// jitter returns a random duration between half of d and d.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/2+1) }

// lived starts over if a connection lasted longer than the pause before it. A
// connection that is closed again and again soon after its beginning backs off further.
func (b *backoff) lived(d time.Duration) {
	if d > b.last {
		b.tries = 0
	}
}

// skip skips the next pause, unless attempts have been failing.
func (b *backoff) skip() { b.now = b.tries == 0 }

// pause waits; it returns false when ctx ends first.
func (b *backoff) pause(ctx context.Context) bool {
	d := min(b.max, firstPause<<min(b.tries, 20))
	b.tries++
	d = jitter(d)
	if b.now {
		b.now, d = false, 0
	}
	b.last = d
	return wait.For(d, ctx.Done()) && ctx.Err() == nil
}
