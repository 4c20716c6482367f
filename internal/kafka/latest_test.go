package kafka_test

import (
	"fmt"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka/kafkatest"
)

func TestLatest(t *testing.T) {
	log := kafkatest.Log(t, kafkatest.Start(t))
	if got, err := log.Latest(t.Context()); err != nil || time.Since(got) < 0 {
		t.Errorf("%v, %v", got, err)
	}
	want := chat.Now().Add(time.Minute)
	for i := range 20 { // in all partitions
		e, err := chat.NewEvent(fmt.Sprint(i), "alice", chat.MessagePosted, chat.RoomID(fmt.Sprint("room", i)), chat.Posted{Text: "hi"})
		if err != nil {
			t.Fatal(err)
		}
		if i == 7 {
			e.Time = want
		}
		if err := log.Append(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
		if e.Room == "room7" {
			break
		}
	}
	if got, err := log.Latest(t.Context()); err != nil || !got.Equal(want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}
