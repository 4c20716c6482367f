package chat_test

import (
	"log/slog"
	"strings"
	"testing"

	"knatter.dev/chat"
)

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "abcd-efgh-jkmn": true, "A_Z-09": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a b": false, "a/b": false, "..": false, "한": false, "a\x00": false, "@": false, "@@a": false,
	} {
		if got := chat.RoomID(name).Valid(); got != want {
			t.Errorf("room %q: %t", name, got)
		}
		if got := chat.UserID(name).Valid(); got != want {
			t.Errorf("user %q: %t", name, got)
		}
	}
}

func TestStreams(t *testing.T) {
	stream := chat.StreamOf("alice")
	if user, ok := stream.Stream(); !ok || user != "alice" || !stream.Valid() {
		t.Errorf("%s is the stream of %q, %t", stream, user, ok)
	}
	if chat.UserID(stream).Valid() {
		t.Error("a stream passes for a user")
	}
	if _, ok := chat.RoomID("room").Stream(); ok {
		t.Error("a room passes for a stream")
	}
}

// Logs do not tell how to get into a room.
func TestLogsHaveNoRoomID(t *testing.T) {
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, nil))
	log.Info("x", slog.Any("room", chat.RoomID("abcd-efgh-jkmn")), "again", chat.RoomID("abcd-efgh-jkmn"), "other", chat.RoomID("abcd-efgh-jkmp"))
	if got := b.String(); strings.Contains(got, "abcd") || strings.Count(got, "#") != 3 {
		t.Errorf("logged %s", got)
	}
}
