package serve_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
)

func TestReadsOfOneUserAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &serve.Reads{Rate: 10, Burst: 20}
		read := func(user chat.UserID, cost int) chat.Kind {
			return chat.KindOf(r.Do(t.Context(), user, cost, func(context.Context) error { return nil }))
		}
		let := 0
		for range 100 {
			if read("eve", 2) != chat.TooMany {
				let++
			}
		}
		if let != 10 {
			t.Errorf("%d reads of 2 at once, want 10", let)
		}
		if read("bob", 1) == chat.TooMany {
			t.Error("another user has to wait for it")
		}
		time.Sleep(time.Second)
		if read("eve", 10) == chat.TooMany || read("eve", 1) != chat.TooMany {
			t.Error("a second later there must be 10 more")
		}
	})
}

func TestReadsLeaveProcessorsToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r serve.Reads
		var now, most atomic.Int32
		var refused atomic.Int32
		var wg sync.WaitGroup
		for i := range 72 {
			wg.Go(func() {
				err := r.Do(t.Context(), chat.UserID(rune('a'+i%8)), 1, func(context.Context) error {
					most.Store(max(most.Load(), now.Add(1)))
					time.Sleep(50 * time.Millisecond)
					now.Add(-1)
					return nil
				})
				if chat.KindOf(err) == chat.TooMany {
					refused.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if int(most.Load()) > max(1, runtime.NumCPU()/2) {
			t.Errorf("%d at once", most.Load())
		}
		if refused.Load() != 8 { // each user's fifth
			t.Errorf("%d were refused", refused.Load())
		}
	})
}

func TestReadsTakeNoLongerThanTheyMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r serve.Reads
		begin := time.Now()
		err := r.Do(t.Context(), "eve", 1, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if chat.KindOf(err) != chat.Unavailable || time.Since(begin) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}
