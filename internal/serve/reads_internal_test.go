package serve

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"knatter.dev/chat"
)

// costly returns reads that each take so much of a processor, and nothing else.
func costly(took time.Duration) *Reads {
	return &Reads{Rate: 1e6, Burst: 1e6, run: func(_ context.Context, _ string, f func() error) (time.Duration, error) { return took, f() }}
}

func nothing(context.Context) error { return nil }

// Who has used up their processor time gets their share of it from then on, and others
// don't wait for that.
func TestReadsOfOneUserTakeAShareOfTheProcessors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = 10 * time.Millisecond
		r := costly(each)
		begin := time.Now()
		read := func(user chat.UserID) {
			t.Helper()
			if err := r.Do(t.Context(), user, 1, nothing); err != nil {
				t.Fatal(err)
			}
		}
		for range timeAtOnce / each {
			read("eve")
		}
		if waited := time.Since(begin); waited > time.Millisecond {
			t.Errorf("waited %v for what may be had at once", waited)
		}
		const seconds = 10
		for range seconds * timeOfUser / each {
			read("eve")
		}
		if waited := time.Since(begin).Round(time.Second); waited != seconds*time.Second {
			t.Errorf("waited %v for %d s of work at its share", waited, seconds)
		}
		begin = time.Now()
		read("bob")
		if waited := time.Since(begin); waited > time.Millisecond {
			t.Errorf("bob waited %v for eve", waited)
		}
	})
}

// Nobody waits longer than it is worth.
func TestReadsThatWouldWaitForLongAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := costly(timeAtOnce)
		var refused atomic.Int32
		for range readsAtOnce - 1 {
			go func() {
				if err := r.Do(t.Context(), "eve", 1, nothing); chat.KindOf(err) == chat.TooMany && err != nil {
					refused.Add(1)
				}
			}()
			time.Sleep(time.Millisecond)
		}
		if synctest.Wait(); refused.Load() == 0 {
			t.Error("all wait")
		}
		time.Sleep(time.Minute)
		if err := r.Do(t.Context(), "eve", 1, nothing); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}

// A store elsewhere takes no processor of ours.
func TestReadsElsewhereAreNotCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := costly(time.Second)
		r.Elsewhere()
		begin := time.Now()
		for range 100 {
			if err := r.Do(t.Context(), "eve", 1, nothing); err != nil {
				t.Fatal(err)
			}
		}
		if waited := time.Since(begin); waited > 0 {
			t.Errorf("waited %v", waited)
		}
	})
}
