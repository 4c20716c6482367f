package chat_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"knatter.dev/chat"
)

func TestErrors(t *testing.T) {
	err := fmt.Errorf("reading the room: %w", chat.Errorf(chat.Unavailable, "store: %w", io.ErrUnexpectedEOF))
	if chat.KindOf(err) != chat.Unavailable {
		t.Errorf("kind %d", chat.KindOf(err))
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause went lost")
	}
	if got := err.Error(); got != "reading the room: store: unexpected EOF" {
		t.Errorf("got %q", got)
	}
	outer := chat.Errorf(chat.NotFound, "room: %w", err)
	if chat.KindOf(outer) != chat.NotFound {
		t.Error("the outermost kind must win")
	}
	for _, err := range []error{nil, io.EOF, context.Canceled} {
		if chat.KindOf(err) != chat.Internal {
			t.Errorf("%v has kind %d", err, chat.KindOf(err))
		}
	}
}

func TestNever(t *testing.T) {
	for kind := chat.Internal; kind <= chat.Unavailable; kind++ {
		retried := kind == chat.Internal || kind == chat.TooMany || kind == chat.Unavailable
		if kind.Never() == retried {
			t.Errorf("kind %d: never %t", kind, kind.Never())
		}
	}
}
