package embedded

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
)

// BenchmarkAppend is what an event of 2 KB costs until it is acknowledged, of 1,000
// that are under way at once.
func BenchmarkAppend(b *testing.B) {
	for _, unsynced := range []bool{false, true} {
		b.Run(fmt.Sprint("no sync: ", unsynced), func(b *testing.B) {
			broker, c := open(b, Options{Dir: filepath.Join(b.TempDir(), "log"), NoSync: unsynced})
			defer func() { _ = broker.Close() }()
			log, err := kafka.NewLog(b.Context(), c)
			if err != nil {
				b.Fatal(err)
			}
			defer log.Close()
			events := make([]chat.Event, 1000)
			for i := range events {
				events[i] = event(fmt.Sprint(i), chat.RoomID(fmt.Sprint("room", i%500)))
			}
			b.ResetTimer()
			for left := b.N; left > 0; left -= len(events) {
				var acks sync.WaitGroup
				for i := range events[:min(len(events), left)] {
					acks.Add(1)
					log.AppendAsync(b.Context(), &events[i], func(err error) {
						if err != nil {
							b.Error(err)
						}
						acks.Done()
					})
				}
				acks.Wait()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
