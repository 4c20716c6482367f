package history

import (
	"testing"

	"golang.org/x/sys/unix"

	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/priority"
)

func TestPagesLetMessagesGoFirst(t *testing.T) {
	usual, err := priority.Niceness(unix.Gettid())
	if err != nil {
		t.Fatal(err)
	}
	for _, elsewhere := range []bool{false, true} {
		f := New(function.Deps{Elsewhere: elsewhere})
		n := 0
		err := f.turn(t.Context(), func() (err error) {
			n, err = priority.Niceness(unix.Gettid())
			return err
		})
		want := min(usual+priority.Background, 19)
		if elsewhere {
			want = usual
		}
		if err != nil || n != want {
			t.Errorf("elsewhere is %v: niceness %d, want %d, %v", elsewhere, n, want, err)
		}
	}
}
