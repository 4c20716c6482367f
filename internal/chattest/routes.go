package chattest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"knatter.dev/chat"
)

// RouteStore checks a [chat.RouteStore].
func RouteStore(t *testing.T, open func(t *testing.T) chat.RouteStore) {
	ctx := t.Context()
	want := func(t *testing.T, s chat.RouteStore, stream chat.StreamID, connectors ...int) {
		t.Helper()
		got, err := s.Connectors(ctx, []chat.StreamID{stream})
		must(t, err)
		if fmt.Sprint(got[stream]) != fmt.Sprint(connectors) {
			t.Fatalf("connectors of %s: %v, want %v", stream, got, connectors)
		}
	}

	t.Run("routes open and close", func(t *testing.T) {
		s := open(t)
		want(t, s, "room")
		must(t, s.Apply(ctx, []chat.RouteChange{
			{Stream: "room", Connector: 300, Open: true, Sequence: 1},
			{Stream: "room", Connector: 2, Open: true, Sequence: 2},
			{Stream: "room", Connector: 10, Open: true, Sequence: 3},
			{Stream: "roo", Connector: 7, Open: true, Sequence: 4},
			{Stream: "@room", Connector: 8, Open: true, Sequence: 5}, // users' streams have routes too
		}))
		want(t, s, "room", 2, 10, 300)
		want(t, s, "roo", 7)
		want(t, s, "@room", 8)
		all, err := s.Connectors(ctx, []chat.StreamID{"@room", "nobody", "room", "@room", "", "roo"})
		must(t, err)
		if got, want := fmt.Sprint(all), "map[@room:[8] roo:[7] room:[2 10 300]]"; got != want {
			t.Fatalf("connectors of several: %s, want %s", got, want)
		}
		must(t, s.Apply(ctx, []chat.RouteChange{{Stream: "room", Connector: 10, Sequence: 6}}))
		want(t, s, "room", 2, 300)
		must(t, s.Apply(ctx, []chat.RouteChange{{Stream: "room", Connector: 10, Open: true, Sequence: 7}}))
		want(t, s, "room", 2, 10, 300)
	})

	t.Run("an older change is not applied", func(t *testing.T) {
		s := open(t)
		must(t, s.Apply(ctx, []chat.RouteChange{{Stream: "room", Connector: 0, Sequence: 5}}))
		must(t, s.Apply(ctx, []chat.RouteChange{{Stream: "room", Connector: 0, Open: true, Sequence: 4}}))
		want(t, s, "room")
		must(t, s.Apply(ctx, []chat.RouteChange{{Stream: "room", Connector: 0, Open: true, Sequence: 5}}))
		want(t, s, "room")
		must(t, s.Apply(ctx, []chat.RouteChange{
			{Stream: "room", Connector: 0, Open: true, Sequence: 7},
			{Stream: "room", Connector: 0, Sequence: 6},
		}))
		want(t, s, "room", 0)
	})

	t.Run("order, repetition and replay make no difference", func(t *testing.T) {
		shuffled(t, open, func(t *testing.T, s chat.RouteStore, rnd *rand.Rand) {
			var log []chat.RouteChange
			last := map[int]bool{}
			for seq := chat.Sequence(1); seq <= 60; seq++ {
				c := chat.RouteChange{Stream: "room", Connector: rnd.IntN(5), Open: rnd.IntN(2) == 0, Sequence: seq}
				last[c.Connector] = c.Open
				log = append(log, c)
			}
			var connectors []int
			for i := range 5 {
				if last[i] {
					connectors = append(connectors, i)
				}
			}
			batches := deliveries(rnd, log)
			concurrently(2, func(i int) {
				for _, batch := range batches[i*len(batches)/2 : (i+1)*len(batches)/2] {
					if err := s.Apply(context.WithoutCancel(ctx), batch); err != nil {
						t.Error(err)
					}
				}
			})
			want(t, s, "room", connectors...)
			must(t, s.Apply(ctx, log[:30]))
			want(t, s, "room", connectors...)
		})
	})
}
