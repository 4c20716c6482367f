package mongo

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/wait"
)

// Codes of the server that we tell apart.
const (
	codeUnauthorized   = 13
	codeUserUnknown    = 11
	codeAuthentication = 18
	codeAtlasError     = 8000 // Atlas: no such user, or not from there
	codeDuplicateKey   = 11000
	codeTooLarge       = 10334
	codeUpdateTooLarge = 17419
	codeUpsertTooLarge = 17420
)

// passing are the codes of a server that is stopping, or is not the primary any
// more or not yet.
var passing = []int{91, 189, 10058, 10107, 11600, 11602, 13435, 13436}

// failure gives an error of the database its kind: TooLarge, Unavailable when the
// same may work in a while, Internal when the server refuses what we ask for.
func failure(err error) error {
	var known *chat.Error
	var server mongo.ServerError
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, mongo.ErrClientDisconnected):
		return chat.Errorf(chat.Unavailable, "the store is closed")
	case hasCode(err, codeTooLarge, codeUpdateTooLarge, codeUpsertTooLarge):
		return chat.Errorf(chat.TooLarge, "store: the document is too large: %w", err)
	case hasCode(err, codeDuplicateKey): // its text has the key, which may be an address
		return &chat.Error{Kind: chat.Internal, Detail: "store: a key is taken", Err: err}
	case errors.Is(err, context.Canceled), mongo.IsTimeout(err), transient(err):
	case hasCode(err, codeUnauthorized, codeUserUnknown, codeAuthentication, codeAtlasError):
	case errors.As(err, &server) && !unacknowledged(err):
		return chat.Errorf(chat.Internal, "store: %w", err)
	}
	return chat.Errorf(chat.Unavailable, "store: %w", err)
}

// hasCode reports whether the server has answered with one of the codes.
func hasCode(err error, codes ...int) bool {
	var server mongo.ServerError
	return errors.As(err, &server) && slices.ContainsFunc(codes, server.HasErrorCode)
}

// unacknowledged reports whether a write was done, but not by a majority in time.
func unacknowledged(err error) bool {
	var one mongo.WriteException
	var many mongo.BulkWriteException
	return errors.As(err, &one) && one.WriteConcernError != nil ||
		errors.As(err, &many) && many.WriteConcernError != nil
}

// transient reports whether the connection broke or the primary changed, so that the
// same may work at once.
func transient(err error) bool {
	var labeled mongo.LabeledError
	return !mongo.IsTimeout(err) && !errors.Is(err, context.Canceled) && (mongo.IsNetworkError(err) ||
		errors.As(err, &labeled) && labeled.HasErrorLabel("RetryableWriteError") ||
		hasCode(err, passing...))
}

// How often again tries, and how long it waits before it does so a second time.
const (
	tries = 3
	pause = 50 * time.Millisecond
)

// again calls f until it succeeds, at most three times, as long as its errors are
// transient. The driver tries again by itself what is only read, and writes if the
// server keeps account of them, which those that are alone do not. So f must be
// such that doing it twice is doing it once; maybe tells that it may have been done
// already, without an answer. Errors: as those of failure.
func again(ctx context.Context, f func(maybe bool) error) error {
	for n := 1; ; n++ {
		err := f(n > 1)
		if err == nil || n == tries || !transient(err) || !rest(ctx, pause<<n) {
			return failure(err)
		}
	}
}

// rest waits for between half and all of d, so that callers who collided do not
// collide again. It reports whether ctx lasted that long.
func rest(ctx context.Context, d time.Duration) bool {
	return wait.For(d/2+rand.N(d/2), ctx.Done())
}
