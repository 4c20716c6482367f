package serve_test

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"

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
