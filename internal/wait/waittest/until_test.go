package waittest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"knatter.dev/chat/internal/wait/waittest"
)

func TestHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		after := func(d time.Duration) func() bool { return func() bool { return time.Since(begun) >= d } }
		if !waittest.Holds(time.Second, after(100*time.Millisecond)) || time.Since(begun) > 120*time.Millisecond {
			t.Errorf("what holds after 100ms was seen after %v", time.Since(begun))
		}
		if waittest.Holds(time.Second, func() bool { return false }) {
			t.Error("what never holds was seen")
		}
		if took := time.Since(begun); took < 1100*time.Millisecond || took > 1200*time.Millisecond {
			t.Errorf("gave up after %v, want 1.1s", took)
		}
	})
}
