// Package guard contains panics: whatever handles requests, events or frames is called
// through it.
package guard

import (
	"context"
	"log/slog"
	"runtime/debug"

	"knatter.dev/chat"
)

// Call calls f and returns its error. A panic of f is logged with its stack, and
// becomes an error of kind Internal. Log and error have only the type of the value that
// f panicked with, since the value may hold a message or a token. what names f in
// messages.
func Call(ctx context.Context, logger *slog.Logger, what string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = chat.Errorf(chat.Internal, "%s panicked with a %T", what, p)
			logger.ErrorContext(ctx, "panic", slog.Any("error", err), slog.String("stack", string(debug.Stack())))
		}
	}()
	return f()
}

// Func returns f called through [Call], for a goroutine whose error somebody waits for:
// a panic there would end the process.
func Func(ctx context.Context, what string, f func() error) func() error {
	return func() error { return Call(ctx, slog.Default(), what, f) }
}
