// Package priority decides who runs first when the processors are not enough.
package priority

import (
	"context"
	"time"

	"knatter.dev/chat/internal/guard"
)

// Run calls f at a lower priority, on a thread of its own. It returns f's error and the
// processor time that f took. The priority is f's alone, and not that of goroutines
// that f starts. what describes f in messages. Errors: also Internal, if f panics.
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
