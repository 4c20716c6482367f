package wait_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"knatter.dev/chat/internal/wait"
)

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		if !wait.For(time.Minute, t.Context().Done()) || time.Since(begun) != time.Minute {
			t.Errorf("ended after %v", time.Since(begun))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun = time.Now()
		if wait.For(time.Minute, ctx.Done()) || time.Since(begun) != time.Second {
			t.Errorf("a wait whose context ended: ended after %v", time.Since(begun))
		}
		if !wait.For(0, ctx.Done()) || !wait.For(-1, nil) {
			t.Error("nothing to wait for, and it did not pass")
		}
	})
}
