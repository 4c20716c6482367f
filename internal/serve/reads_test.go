package serve_test

import (
	"context"
	"errors"
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

func TestReadsMakeTheirParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, elsewhere := new(serve.Reads), new(serve.Reads)
		elsewhere.Elsewhere()
		for want, r := range map[int32]*serve.Reads{1: here, 8: elsewhere} {
			var now, most, made atomic.Int32
			err := r.Each(t.Context(), 20, func(context.Context, int) error {
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Millisecond)
				now.Add(-1)
				made.Add(1)
				return nil
			})
			if err != nil || most.Load() != want || made.Load() != 20 {
				t.Errorf("%v, %d parts, %d at once, want %d", err, made.Load(), most.Load(), want)
			}
			failure := errors.New("one fails")
			if err := r.Each(t.Context(), 20, func(_ context.Context, i int) error {
				if i == 3 {
					return failure
				}
				return nil
			}); !errors.Is(err, failure) {
				t.Errorf("%v, want that of a part", err)
			}
		}
	})
}

func TestReadsThatPanicEndNothing(t *testing.T) {
	var r serve.Reads
	if err := r.Do(t.Context(), "eve", 1, func(context.Context) error { panic("by a read") }); chat.KindOf(err) != chat.Internal {
		t.Errorf("%v, want Internal", err)
	}
	if err := r.Do(t.Context(), "eve", 1, func(context.Context) error { return nil }); err != nil {
		t.Errorf("the next read: %v", err)
	}
}
