// Package priority is about who goes first when the processors are not enough.
package priority

import (
	"context"
	"time"

	"knatter.dev/chat/internal/guard"
)

// Run calls f at a lower priority, on a thread of its own, and returns its error and how
// much processor time it took. It holds for f alone, and not for goroutines that f
// starts. what says what f is, for people. Errors: also Internal, when f panics.
func Run(ctx context.Context, what string, f func() error) (took time.Duration, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		Lower()
		begin := used()
		err = guard.Func(ctx, what, f)()
		took = used() - begin
	}()
	<-done
	return took, err
}
