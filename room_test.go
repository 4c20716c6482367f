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
		"": false, strings.Repeat("x", 65): false, "a b": false, "a/b": false, "..": false, "한": false, "a\x00": false, "@": false, "@a": false, "@@a": false,
	} {
		if got := chat.RoomID(name).Valid(); got != want {
			t.Errorf("room %q: %t", name, got)
		}
		if got := chat.UserID(name).Valid(); got != want {
			t.Errorf("user %q: %t", name, got)
		}
		for _, stream := range []chat.StreamID{chat.StreamID(name), chat.StreamOf(chat.UserID(name))} {
			if got := stream.Valid(); got != want && !strings.HasPrefix(name, "@") {
				t.Errorf("stream %q: %t", stream, got)
			}
		}
	}
}

func TestStreams(t *testing.T) {
	own := chat.StreamOf("alice")
	if own != "@alice" || !own.Own() || own.Room() != "" || !own.Valid() {
		t.Errorf("%s: own %t, room %q, valid %t", own, own.Own(), own.Room(), own.Valid())
	}
	if chat.UserID(own).Valid() || chat.RoomID(own).Valid() {
		t.Error("a user's own stream passes for a user or a room")
	}
	if s := chat.RoomID("room").Stream(); s != "room" || s.Own() || s.Room() != "room" || !s.Valid() {
		t.Errorf("%s: own %t, room %q, valid %t", s, s.Own(), s.Room(), s.Valid())
	}
	for _, s := range []chat.StreamID{"", "@", "@@alice", "a/b", "@a b"} {
		if s.Valid() {
			t.Errorf("%q is taken for a stream", s)
		}
	}
}

// Logs do not tell how to get into a room.
func TestLogsHaveNoRoomID(t *testing.T) {
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, nil))
	log.Info("x", slog.Any("room", chat.RoomID("abcd-efgh-jkmn")), "again", chat.RoomID("abcd-efgh-jkmn"), "other", chat.StreamID("abcd-efgh-jkmp"))
	if got := b.String(); strings.Contains(got, "abcd") || strings.Count(got, "#") != 3 {
		t.Errorf("logged %s", got)
	}
}
