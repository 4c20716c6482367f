package serve_test

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/priority"
	"knatter.dev/chat/internal/serve"
)

// niceness is that of the thread that calls it.
func niceness(t *testing.T) int {
	t.Helper()
	n, err := priority.Niceness(unix.Gettid())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestReadsLetMessagesGoFirst(t *testing.T) {
	usual := niceness(t)
	nice := func(r *serve.Reads) (seen []int) {
		err := r.Do(t.Context(), "eve", 1, func(ctx context.Context) error {
			seen = append(seen, niceness(t))
			return r.Each(ctx, 1, func(context.Context, int) error {
				seen = append(seen, niceness(t))
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	for _, n := range nice(new(serve.Reads)) {
		if want := min(usual+priority.Background, 19); n != want {
			t.Errorf("a read of a store in the process has niceness %d, want %d", n, want)
		}
	}
	elsewhere := new(serve.Reads)
	elsewhere.Elsewhere()
	for _, n := range nice(elsewhere) {
		if n != usual {
			t.Errorf("a read of a store elsewhere has niceness %d, want %d", n, usual)
		}
	}
}

func TestReadsOfOneUserTakeAShareOfTheProcessors(t *testing.T) {
	works := func(context.Context) error {
		for begin := time.Now(); time.Since(begin) < 10*time.Millisecond; {
			continue
		}
		return nil
	}
	read := func(r *serve.Reads, user chat.UserID, length time.Duration) (n int) {
		for begin := time.Now(); time.Since(begin) < length; n++ {
			if err := r.Do(t.Context(), user, 1, works); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	r := &serve.Reads{Burst: 1000}
	const length = time.Second
	if n := read(r, "eve", length); n > 40 { // 15 at once, 5 a second, and some as this is a busy machine
		t.Errorf("eve read %d times 10 ms in %v", n, length)
	}
	begin := time.Now()
	if err := r.Do(t.Context(), "bob", 1, works); err != nil || time.Since(begin) > time.Second {
		t.Errorf("bob has to wait for eve: %v, %v", time.Since(begin), err)
	}
	elsewhere := &serve.Reads{Burst: 1000}
	elsewhere.Elsewhere()
	if n := read(elsewhere, "eve", length); n < 10 {
		t.Errorf("%d reads of a store elsewhere, which only waits", n)
	}
}
