package open

import (
	"fmt"
	"testing"

	"knatter.dev/chat/internal/chattest"
	"knatter.dev/chat/internal/mongo/mongotest"
)

// BenchmarkPersist puts messages as the persist and index functions do, by as many
// as come together at rest and under load, into each sort of store.
func BenchmarkPersist(b *testing.B) {
	for _, store := range []struct {
		name string
		url  func(testing.TB) string
	}{
		{"pebble", func(t testing.TB) string { return "pebble:" + t.TempDir() }},
		{"mongodb", mongotest.Database},
	} {
		for _, shape := range []string{"busy", "even"} {
			for _, n := range []int{1, 50, 256} {
				b.Run(fmt.Sprintf("store=%s/rooms=%s/messages=%d", store.name, shape, n), func(b *testing.B) {
					s, err := Store(b.Context(), store.url(b))
					if err != nil {
						b.Fatal(err)
					}
					defer s.Close()
					src := chattest.NewMessages(shape == "even")
					count := 0
					for b.Loop() {
						b.StopTimer()
						events, docs := src.Next(b, n)
						b.StartTimer()
						if err := s.Events.Put(b.Context(), events); err != nil {
							b.Fatal(err)
						}
						if err := s.Index.Put(b.Context(), docs); err != nil {
							b.Fatal(err)
						}
						count += n
					}
					b.ReportMetric(float64(count)/b.Elapsed().Seconds(), "messages/s")
				})
			}
		}
	}
}
