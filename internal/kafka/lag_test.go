package kafka_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
)

// Before the log drops what persist or index have yet to read, events are refused,
// and that is said before.
func TestUnreadEventsAreNotDropped(t *testing.T) {
	var said bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&said, nil)))
	defer slog.SetDefault(before)

	c := kafkatest.Empty(t)
	c.RetentionBytes, c.Uncompressed = 4<<20, true
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	log := kafkatest.Log(t, c)
	post := func(room chat.RoomID, id string) error {
		e := message(t, room, strings.Repeat("x", 4000))
		e.ID = id
		return log.Append(t.Context(), e)
	}
	if err := errors.Join(post("room", "first"), log.Ready(t.Context())); err != nil {
		t.Fatal(err)
	}
	var acked int
	var err error
	for began := time.Now(); err == nil && time.Since(began) < time.Minute; acked++ {
		time.Sleep(2 * time.Millisecond) // slower than a look
		err = post("room", fmt.Sprint(acked))
	}
	if chat.KindOf(err) != chat.Unavailable || err == nil {
		t.Fatalf("after %d events: %v, want Unavailable", acked, err)
	}
	if size := acked * 4100; size < 3<<20 || size > 4<<20 {
		t.Errorf("refused after %d bytes of %d", size, 4<<20)
	}
	if err := log.Ready(t.Context()); chat.KindOf(err) != chat.Unavailable || err == nil {
		t.Errorf("ready: %v", err)
	}
	for _, level := range []string{"level=WARN", "level=ERROR"} {
		if !strings.Contains(said.String(), level) {
			t.Errorf("no %s among %s", level, said.String())
		}
	}
	route, nerr := chat.NewEvent("route", "", chat.RouteOpened, "room", chat.RouteData{})
	if nerr != nil {
		t.Fatal(nerr)
	}
	if err := log.Append(t.Context(), &route); err != nil {
		t.Errorf("the system's own event: %v", err)
	}
	other := chat.RoomID("other")
	for i := 0; kafka.PartitionOf(other.Stream(), 4) == kafka.PartitionOf("room", 4); i++ {
		other = chat.RoomID(fmt.Sprint("other-", i))
	}
	if err := post(other, "other"); err != nil {
		t.Errorf("a room of another partition: %v", err)
	}

	admin := kadm.NewClient(client(t, c))
	ends, err := admin.ListEndOffsets(t.Context(), chat.TopicRooms)
	if err != nil {
		t.Fatal(err)
	}
	for n, group := range []string{chat.Persist.Group, chat.Index.Group} {
		if err := admin.CommitAllOffsets(t.Context(), group, ends.Offsets()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(600 * time.Millisecond) // it looks again after 500 ms, and then decides
		if err := log.Ready(t.Context()); (err == nil) != (n == 1) {
			t.Errorf("%s has read all: %v", group, err)
		}
	}
	if err := post("room", "last"); err != nil {
		t.Errorf("when all is read: %v", err)
	}
}
