package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
)

// underWay is how many events wait for their acks at once.
const underWay = 1000

// BenchmarkAppend is what one event of many rooms costs until it is acknowledged,
// the embedded broker's work included.
func BenchmarkAppend(b *testing.B) {
	l := kafkatest.Log(b, kafkatest.Start(b))
	events := make([]*chat.Event, underWay)
	for i := range events {
		events[i] = message(b, chat.RoomID(fmt.Sprint("room", i%500)), fmt.Sprint("message ", i))
	}
	b.ReportAllocs()
	for i := 0; i < b.N; i += underWay {
		var acks sync.WaitGroup
		for _, e := range events[:min(underWay, b.N-i)] {
			acks.Add(1)
			l.AppendAsync(b.Context(), e, func(err error) {
				if err != nil {
					b.Error(err)
				}
				acks.Done()
			})
		}
		acks.Wait()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkDeliveries is what one delivery costs from fan-out until the connector
// has it.
func BenchmarkDeliveries(b *testing.B) {
	c := kafkatest.Start(b)
	l := kafkatest.Log(b, c)
	ctx, cancel := context.WithCancel(b.Context())
	ready, ended, got := make(chan struct{}), make(chan error, 1), make(chan int, underWay)
	go func() {
		ended <- kafka.FollowDeliveries(ctx, c, 0, func() { close(ready) }, func(batch []chat.Delivery) { got <- len(batch) })
	}()
	<-ready
	deliveries := make([]chat.Delivery, underWay)
	for i := range deliveries {
		deliveries[i] = deliveryTo(0, i+1)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += underWay {
		n := min(underWay, b.N-i)
		if err := l.Deliver(b.Context(), deliveries[:n]); err != nil {
			b.Fatal(err)
		}
		for n > 0 {
			n -= <-got
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
	b.StopTimer()
	cancel()
	<-ended
}
