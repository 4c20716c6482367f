// Package guard is the boundary at which panics end: whoever starts what handles
// requests, events or frames calls it through here.
package guard

import (
	"context"
	"log/slog"
	"runtime/debug"

	"knatter.dev/chat"
)

// Call calls f and returns its error. A panic of f is logged with its stack and
// becomes an error of kind Internal. Neither has the value that f panicked with,
// which may hold what somebody wrote, or a token: only its type. what says what
// panicked, for people.
func Call(ctx context.Context, logger *slog.Logger, what string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = chat.Errorf(chat.Internal, "%s panicked with a %T", what, p)
			logger.ErrorContext(ctx, "panic", slog.Any("error", err), slog.String("stack", string(debug.Stack())))
		}
	}()
	return f()
}

// Func is f called through [Call], for a goroutine whose error somebody waits for:
// a panic there would end the process.
func Func(ctx context.Context, what string, f func() error) func() error {
	return func() error { return Call(ctx, slog.Default(), what, f) }
}
