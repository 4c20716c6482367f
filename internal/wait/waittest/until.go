// Package waittest lets tests wait for conditions.
package waittest

import (
	"testing"
	"time"
)

// Patience is how long a condition may take that should hold within moments, on a
// machine that is busy with other things.
const Patience = 30 * time.Second

// Until waits until holds returns true. If that takes longer than [Patience], it ends
// the test, so it is called by the goroutine of the test.
func Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	Within(t, Patience, what, holds)
}

// Within is [Until] with another limit.
func Within(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	if !Holds(limit, holds) {
		t.Fatalf("not within %v: %s", limit, what)
	}
}

// Holds waits until holds returns true, for at most limit, and reports whether it did.
func Holds(limit time.Duration, holds func() bool) bool {
	deadline := time.Now().Add(limit)
	for pause := time.Millisecond; !holds(); pause = min(2*pause, 20*time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(pause)
	}
	return true
}
