package chattest

import (
	"cmp"
	"slices"
	"testing"

	"knatter.dev/chat"
)

// Projections are a store's projections of the log, and what it knows of that.
type Projections struct {
	Events   chat.EventStore
	Rooms    chat.RoomStore
	Index    chat.SearchIndex
	Routes   chat.RouteStore
	Progress chat.ProgressStore
}

// ProgressStore checks a [chat.ProgressStore]. reopened closes the stores and opens
// them again.
func ProgressStore(t *testing.T, open func(t *testing.T) (p Projections, reopened func() Projections)) {
	ctx := t.Context()

	t.Run("nothing of nothing", func(t *testing.T) {
		p, _ := open(t)
		applied, err := p.Progress.Progress(ctx)
		must(t, err)
		lineage, err := p.Progress.Lineage(ctx)
		must(t, err)
		if len(applied) > 0 || !lineage.Equal(chat.Lineage{}) {
			t.Fatalf("got %v, %v", applied, lineage)
		}
	})

	t.Run("what is applied is noted, and never goes back", func(t *testing.T) {
		p, reopened := open(t)
		post := func(id string, s chat.Sequence, partition int32, done chat.Sequence) {
			t.Helper()
			e := handled(message("room", "alice", id, s), partition, done)
			must(t, p.Events.Put(ctx, []chat.Event{e}))
			d := document("room", "alice", id, s, "term")
			d.Origin = e.Origin
			must(t, p.Index.Put(ctx, []chat.Document{d}))
			must(t, p.Routes.Apply(ctx, []chat.RouteChange{{Stream: "room", Sequence: s, Origin: e.Origin}}))
		}
		post("a", 5, 0, 3)
		post("b", 9, 0, 3)
		post("c", 8, 0, 8) // out of order: now all below 10 is done
		post("d", chat.SequenceAt(2, 4), 3, chat.SequenceAt(2, 4))
		post("a", 12, 0, 2) // again: nothing to write but this
		must(t, p.Rooms.Apply(ctx, []chat.Event{handled(logged(chat.RoomCreated, "room", "alice", "r", 4, chat.RoomData{Name: "Room"}), 1, 4)}))
		must(t, p.Events.Put(ctx, []chat.Event{message("room", "alice", "e", 99)})) // without an origin
		p = reopened()
		var want []chat.Applied
		for _, store := range []string{chat.StoreEvents, chat.StoreIndex, chat.StoreRoutes} {
			want = append(want,
				chat.Applied{Store: store, Partition: 0, Done: 10, Highest: 12},
				chat.Applied{Store: store, Partition: 3, Done: chat.SequenceAt(2, 5), Highest: chat.SequenceAt(2, 4)})
		}
		want = append(want, chat.Applied{Store: chat.StoreRooms, Partition: 1, Done: 5, Highest: 4})
		wantEqual(t, "progress", applied(t, p), sorted(want))

		must(t, p.Index.Wipe(ctx))
		want = slices.DeleteFunc(want, func(a chat.Applied) bool { return a.Store == chat.StoreIndex })
		p = reopened()
		wantEqual(t, "progress without an index", applied(t, p), sorted(want))
	})

	t.Run("others note what a store cannot know", func(t *testing.T) {
		p, reopened := open(t)
		must(t, p.Progress.Note(ctx))
		must(t, p.Progress.Note(ctx, chat.Applied{Store: chat.StoreEvents, Partition: 1, Done: 8}, chat.Applied{Store: chat.StoreIndex, Partition: 0, Done: 15}))
		p = reopened()
		must(t, p.Progress.Note(ctx, chat.Applied{Store: chat.StoreIndex, Partition: 0, Done: 3, Highest: 4})) // it is as far already
		want := []chat.Applied{{Store: chat.StoreEvents, Partition: 1, Done: 8}, {Store: chat.StoreIndex, Partition: 0, Done: 15, Highest: 4}}
		wantEqual(t, "progress", applied(t, p), want)
		must(t, p.Events.Put(ctx, []chat.Event{handled(message("room", "alice", "a", 9), 1, 9)}))
		p = reopened()
		want[0] = chat.Applied{Store: chat.StoreEvents, Partition: 1, Done: 10, Highest: 9}
		wantEqual(t, "progress with an origin", applied(t, p), want)
		if err := p.Progress.Note(ctx, chat.Applied{Store: "none"}); chat.KindOf(err) != chat.Invalid || err == nil {
			t.Errorf("a store that there is not: %v", err)
		}
	})

	t.Run("the lineage is set by who knows the one before", func(t *testing.T) {
		p, reopened := open(t)
		first := chat.Lineage{Log: "one", Generations: []chat.Generation{{Number: 0}}}
		second := chat.Lineage{Log: "one", Generations: []chat.Generation{{Number: 0}, {Number: 1, From: []int64{5, 0, 7}}}}
		must(t, p.Progress.SetLineage(ctx, first, chat.Lineage{}))
		for _, follows := range []chat.Lineage{{}, second} {
			if err := p.Progress.SetLineage(ctx, second, follows); chat.KindOf(err) != chat.Conflict || err == nil {
				t.Errorf("after %v: got %v, want Conflict", follows, err)
			}
		}
		must(t, p.Progress.SetLineage(ctx, second, first))
		p = reopened()
		got, err := p.Progress.Lineage(ctx)
		must(t, err)
		wantEqual(t, "lineage", got, second)
	})
}

// handled is an event as a dispatcher hands it over.
func handled(e chat.Event, partition int32, done chat.Sequence) chat.Event {
	e.Origin = &chat.Origin{Partition: partition, Done: done, From: e.Sequence, To: e.Sequence + 1}
	return e
}

func applied(t *testing.T, p Projections) []chat.Applied {
	t.Helper()
	got, err := p.Progress.Progress(t.Context())
	must(t, err)
	return sorted(got)
}

func sorted(all []chat.Applied) []chat.Applied {
	slices.SortFunc(all, func(a, b chat.Applied) int {
		return cmp.Or(cmp.Compare(a.Store, b.Store), cmp.Compare(a.Partition, b.Partition))
	})
	return all
}
