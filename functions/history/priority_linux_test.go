package history

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/priority"
)

// emptyLog has nothing that the store does not have.
type emptyLog struct{ chat.Log }

func (emptyLog) TailEnd(context.Context, chat.StreamID) ([]chat.Event, chat.Sequence, error) {
	return nil, 100, nil
}

func TestPagesLetMessagesGoFirst(t *testing.T) {
	usual, err := priority.Niceness(unix.Gettid())
	if err != nil {
		t.Fatal(err)
	}
	for _, elsewhere := range []bool{false, true} {
		f := New(function.Deps{Log: emptyLog{}, Elsewhere: elsewhere})
		n := 0
		_, err := f.page(t.Context(), "room", chat.Range{Limit: 1}, func(context.Context, chat.RoomID, chat.Range) (_ []chat.Event, _ bool, err error) {
			n, err = priority.Niceness(unix.Gettid())
			return nil, false, err
		}, func(chat.Type) bool { return true })
		want := min(usual+priority.Background, 19)
		if elsewhere {
			want = usual
		}
		if err != nil || n != want {
			t.Errorf("elsewhere is %v: niceness %d, want %d, %v", elsewhere, n, want, err)
		}
	}
}
