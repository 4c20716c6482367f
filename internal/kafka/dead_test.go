package kafka_test

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
)

// letters are all dead letters.
func letters(t *testing.T, c kafka.Config) (all []kafka.Letter) {
	t.Helper()
	err := kafka.DeadLetters(t.Context(), c, func(l kafka.Letter) error {
		all = append(all, l)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func header(name, value string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: "ce_" + name, Value: []byte(value)}
}

// source is a record as a function is given it.
func source(offset int64, more ...kgo.RecordHeader) *kgo.Record {
	return &kgo.Record{
		Topic: chat.TopicRooms, Partition: 2, Offset: offset, Key: []byte("@bob"), Value: []byte(`{"text":"hi"}`),
		Headers: append([]kgo.RecordHeader{
			header("specversion", "1.0"), header("id", strconv.FormatInt(offset, 10)), header("source", "/users/alice"),
			header("type", string(chat.MessagePosted)), header("subject", "room"), header("team", "red"),
		}, more...),
	}
}

func TestDeadLetterIsTheEvent(t *testing.T) {
	c := kafkatest.Start(t)
	c.Generation = 3
	r := source(41, header("sequence", "0000000000000007"), header("knativekafkaoffset", "8"), header("knativeerrordest", "mine"), header("knatterfunction", "none"))
	dead := c.DeadLetter(r, kafka.Failure{Function: "index", Dest: "http://index", Code: 422, Data: "no"})
	cl := client(t, c)
	if err := cl.ProduceSync(t.Context(), dead).FirstErr(); err != nil {
		t.Fatal(err)
	}
	got := letters(t, c)
	if len(got) != 1 {
		t.Fatalf("%d letters", len(got))
	}
	l := got[0]
	want := chat.Event{
		ID: "41", Source: "/users/alice", Type: chat.MessagePosted, Room: "room", Stream: "@bob",
		Sequence: chat.SequenceAt(3, 41), Extensions: map[string]string{"team": "red"}, Data: []byte(`{"text":"hi"}`),
	}
	if l.Invalid != nil || !reflect.DeepEqual(l.Event, want) {
		t.Errorf("got %+v, %v, want %+v", l.Event, l.Invalid, want)
	}
	if want := (kafka.Failure{Function: "index", Dest: "http://index", Code: 422, Data: "no"}); l.Failure != want || l.Replayed || l.Time.IsZero() {
		t.Errorf("got %+v", l)
	}
	// The generation goes on, the letter's event stays what it was.
	c.Generation = 4
	if l := letters(t, c)[0]; l.Event.Sequence != chat.SequenceAt(3, 41) {
		t.Errorf("sequence %v", l.Event.Sequence)
	}
}

// Letters that Knative's sources have written say the offset only; a sequence in
// them is whatever somebody sent.
func TestDeadLettersOfKnative(t *testing.T) {
	c := kafkatest.Start(t)
	c.Generation = 1
	cl := client(t, c)
	for _, r := range []*kgo.Record{
		source(0, header("knativekafkapartition", "2"), header("knativekafkaoffset", "9"), header("knativeerrordest", "http://index.chat.svc"), header("knativeerrorcode", "404")),
		source(0, header("knativekafkaoffset", "9"), header("sequence", "0000000000000007")),
		source(0, header("knativekafkaoffset", "many")),
		source(0),
		{Value: []byte("?")},
	} {
		r.Topic, r.Partition, r.Offset = chat.TopicDead, 0, 0
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	got := letters(t, c)
	if len(got) != 5 {
		t.Fatalf("%d letters", len(got))
	}
	for i, l := range got {
		if l.Offset != int64(i) || (l.Invalid == nil) != (i < 2) {
			t.Errorf("letter %d: %+v", i, l)
		}
		if i < 2 && l.Event.Sequence != chat.SequenceAt(1, 9) {
			t.Errorf("letter %d: sequence %v", i, l.Event.Sequence)
		}
	}
	if l := got[0]; l.Dest != "http://index.chat.svc" || l.Code != 404 || l.Function != "" {
		t.Errorf("got %+v", l.Failure)
	}
}

func TestReplayedIsRemembered(t *testing.T) {
	c := kafkatest.Start(t)
	cl := client(t, c)
	const n = 3000 // more than one fetch
	for i := range n {
		r := c.DeadLetter(source(int64(i+1)), kafka.Failure{Function: "index"})
		cl.Produce(t.Context(), r, nil)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := letters(t, c)
	if len(all) != n {
		t.Fatalf("%d letters, want %d", len(all), n)
	}
	for _, i := range []int{0, 1500, n - 1} {
		for range 2 { // said twice is said once
			if err := kafka.SetReplayed(t.Context(), c, all[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	var replayed []int64
	for _, l := range letters(t, c) {
		if l.Replayed {
			replayed = append(replayed, l.Offset)
		}
	}
	if fmt.Sprint(replayed) != fmt.Sprint([]int64{0, 1500, n - 1}) {
		t.Errorf("replayed: %v", replayed)
	}
	stop := errors.New("enough")
	calls := 0
	err := kafka.DeadLetters(t.Context(), c, func(kafka.Letter) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
