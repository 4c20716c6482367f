package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
)

func deliveryTo(connector, n int) chat.Delivery {
	return chat.Delivery{
		Connector: connector, Stream: "room", Sequence: chat.Sequence(n), Type: chat.MessagePosted,
		Frame: fmt.Appendf(nil, `{"id":"%d"}`, n),
	}
}

// follow runs FollowDeliveries until the test or ctx ends; it returns when ready.
func follow(ctx context.Context, t *testing.T, c kafka.Config, connector int) (<-chan chat.Delivery, <-chan error) {
	t.Helper()
	got, ended, ready := make(chan chat.Delivery, 100), make(chan error, 1), make(chan struct{})
	go func() {
		ended <- kafka.FollowDeliveries(ctx, c, connector, func() { close(ready) }, func(batch []chat.Delivery) {
			for _, d := range batch {
				got <- d
			}
		})
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	return got, ended
}

func TestDeliveriesReachTheirConnectorFromReadyOn(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	if err := l.Deliver(t.Context(), []chat.Delivery{deliveryTo(1, 1)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got, ended := follow(ctx, t, c, 1)

	// Connector 99 has no partition: its delivery must not hold up the others.
	if err := l.Deliver(t.Context(), []chat.Delivery{deliveryTo(1, 2), deliveryTo(2, 3), deliveryTo(99, 4), deliveryTo(1, 5)}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []chat.Delivery{deliveryTo(1, 2), deliveryTo(1, 5)} {
		if d := <-got; !reflect.DeepEqual(d, want) {
			t.Errorf("got %+v, want %+v", d, want)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestFollowerIsToldWhenDeliveriesWereLost(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	ready, ended := make(chan struct{}), make(chan error, 1)
	lost := make(chan struct{})
	go func() {
		ended <- kafka.FollowDeliveries(t.Context(), c, 0, func() {
			// The position is fixed but nothing is read yet: lose what comes.
			close(ready)
			<-lost
		}, func([]chat.Delivery) {})
	}()
	<-ready
	for n := range 3 {
		if err := l.Deliver(t.Context(), []chat.Delivery{deliveryTo(0, n+1)}); err != nil {
			t.Fatal(err)
		}
	}
	trim := make(kadm.Offsets)
	trim.AddOffset(chat.TopicDeliveries, 0, 2, -1)
	if _, err := kadm.NewClient(client(t, c)).DeleteRecords(t.Context(), trim); err != nil {
		t.Fatal(err)
	}
	close(lost)
	if err := <-ended; !errors.Is(err, kafka.ErrGap) {
		t.Errorf("ended with %v, want ErrGap", err)
	}
}

func TestFollowingAPartitionThatDoesNotExistFails(t *testing.T) {
	c := kafkatest.Start(t)
	err := kafka.FollowDeliveries(t.Context(), c, 99, func() { t.Error("ready") }, nil)
	if chat.KindOf(err) != chat.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
}

func TestFollowerSkipsWhatIsNoDelivery(t *testing.T) {
	c := kafkatest.Start(t)
	l := kafkatest.Log(t, c)
	got, _ := follow(t.Context(), t, c, 0)
	garbage := &kgo.Record{Topic: chat.TopicDeliveries, Partition: 0, Value: []byte("garbage")}
	if err := client(t, c, kgo.RecordPartitioner(kgo.ManualPartitioner())).ProduceSync(t.Context(), garbage).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := l.Deliver(t.Context(), []chat.Delivery{deliveryTo(0, 1)}); err != nil {
		t.Fatal(err)
	}
	if d := <-got; d.Sequence != 1 {
		t.Errorf("got %+v", d)
	}
}
