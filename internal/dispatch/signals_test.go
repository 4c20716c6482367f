package dispatch_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/serve"
)

// A signal is handled once or never: what failed is dropped, and so is what is none. Nothing of it becomes a dead letter.
func TestSignalsAreHandledOnceOrDropped(t *testing.T) {
	c := kafkatest.Start(t)
	log := kafkatest.Log(t, c)
	typing := func(id string) *chat.Event {
		return &chat.Event{ID: id, Source: chat.SourceOf("alice"), Type: chat.TypingStarted, Room: "r", Stream: "r", Time: chat.Now()}
	}
	producer := client(t, c)
	none := message(t, "r", "no signal")
	r := &kgo.Record{Topic: chat.TopicSignals, Key: []byte(none.Stream), Value: none.Data}
	for _, h := range none.Headers() {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	got := make(chan chat.Event, 10)
	failed := false
	run(t, c, chat.Signals, handlerFunc(func(_ context.Context, events []chat.Event) error {
		for _, e := range events {
			got <- e
		}
		if events[0].ID == "fails" && !failed {
			failed = true
			return errors.New("away")
		}
		return nil
	}), dispatch.Options{})
	var ids []string
	for _, id := range []string{"fails", "works"} {
		log.Signal(t.Context(), typing(id))
		select {
		case e := <-got:
			if ids = append(ids, e.ID); e.Sequence != 0 || e.Stream != "r" || e.Type != chat.TypingStarted {
				t.Errorf("handled %+v", e)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s was not handled", id)
		}
	}
	if want := []string{"fails", "works"}; !slices.Equal(ids, want) || len(got) != 0 {
		t.Errorf("handled %q and %d more, want %q", ids, len(got), want)
	}
	ends, err := kadm.NewClient(producer).ListEndOffsets(t.Context(), chat.TopicDead)
	if err != nil {
		t.Fatal(err)
	}
	if dead, _ := ends.Lookup(chat.TopicDead, 0); dead.Offset != 0 {
		t.Errorf("%d dead letters", dead.Offset)
	}
}

// A signal has no sequence, wherever it comes from.
func TestSignalsOverHTTP(t *testing.T) {
	var got []chat.Event
	events := serve.Events(handlerFunc(func(_ context.Context, events []chat.Event) error {
		got = append(got, events...)
		return nil
	}), nil)
	server := httptest.NewServer(events)
	t.Cleanup(server.Close)
	typing := chat.Event{ID: "t", Source: "/users/alice", Type: chat.TypingStarted, Room: "r", Stream: "r", Time: chat.Now()}
	for _, batch := range [][]chat.Event{{typing}, {typing, typing}} {
		if err := dispatch.HTTP(server.URL, nil).HandleEvents(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	source := typing // as KafkaSource sends it
	source.Extensions = map[string]string{"knativekafkaoffset": "7", "knativekafkapartition": "0"}
	if err := dispatch.HTTP(server.URL, nil).HandleEvents(t.Context(), []chat.Event{source}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 4 {
		t.Fatalf("%d came, want 4", len(got))
	}
	for _, e := range got {
		if e.Sequence != 0 || len(e.Data) != 0 || e.Type != chat.TypingStarted || e.Room != "r" || len(e.Extensions) != 0 {
			t.Errorf("got %+v", e)
		}
	}
}
