package mongo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/mongo/mongotest"
)

// Every query is answered by an index, in the index's order.
func TestPlans(t *testing.T) {
	if !mongotest.External() {
		t.Skip("FerretDB does not plan as MongoDB does: KNATTER_TEST_MONGODB=mongodb://…")
	}
	opts, database, err := parse(mongotest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var asked []bson.D
	opts.SetMonitor(&event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if e.CommandName != "find" && e.CommandName != "aggregate" {
			return
		}
		var whole, command bson.D
		if err := bson.Unmarshal(e.Command, &whole); err != nil {
			t.Error(err)
		}
		for _, field := range whole { // without what belongs to the connection
			if slices.Contains([]string{"find", "filter", "sort", "projection", "limit", "aggregate", "pipeline", "cursor"}, field.Key) {
				command = append(command, field)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, command)
	}})
	s, err := open(t.Context(), opts, database)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	const rooms = 300
	var events []chat.Event
	var docs []chat.Document
	var changes []chat.RouteChange
	var names []chat.RoomID
	var streams []chat.StreamID
	for i := range rooms {
		names = append(names, chat.RoomID(fmt.Sprint("room-", i)))
		streams = append(streams, names[i].Stream())
	}
	for i := range 20 * rooms {
		room, seq := names[i%rooms], chat.Sequence(i+1)
		e := message(t, room, fmt.Sprint(i), seq)
		e.Time = chat.Now().Add(time.Duration(i) * time.Second)
		events = append(events, e,
			logged(t, chat.ReadAdvanced, room, fmt.Sprint("read ", i), seq, chat.ReadData{UpTo: seq}),
			logged(t, chat.MemberJoined, room, fmt.Sprint("join ", i), seq, chat.MemberData{User: chat.UserID(fmt.Sprint("user-", i%70)), Nickname: "n", Role: chat.Plain}))
		docs = append(docs, documentOf(e, "common", "other", fmt.Sprint("rare ", i)))
		changes = append(changes, chat.RouteChange{Stream: room.Stream(), Connector: i % 5, Open: i%2 == 0, Sequence: seq})
	}
	for _, err := range []error{
		s.Events().Put(t.Context(), events), s.Rooms().Apply(t.Context(), events),
		s.Index().Put(t.Context(), docs), s.Routes().Apply(t.Context(), changes),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	all := calls(t, s)
	search := func(rooms []chat.RoomID, words ...chat.Word) func(context.Context) error {
		return func(ctx context.Context) error {
			q := chat.Query{Rooms: rooms, Words: words, Limit: 50, From: []chat.UserID{"alice"}}
			hits, _, err := s.Index().Search(ctx, q)
			if err == nil && len(hits) > 0 {
				q.Cursor = hits[len(hits)-1]
				_, _, err = s.Index().Search(ctx, q)
			}
			return err
		}
	}
	common, other := [][]string{{"common"}}, [][]string{{"other"}}
	all["Search one room"] = search(names[:1], chat.Word{Any: common})
	all["Search all rooms"] = search(names, chat.Word{Any: common})
	all["Search two words"] = search(names, chat.Word{Any: common}, chat.Word{Any: other})
	all["Search alternatives"] = search(names, chat.Word{Any: [][]string{{"common", "other"}, {"rare 1"}}}, chat.Word{Any: append(common, other...)})
	all["Connectors of all"] = func(ctx context.Context) error { _, err := s.Routes().Connectors(ctx, streams); return err }
	all["Newest events"] = func(ctx context.Context) error {
		_, _, err := s.Events().Events(ctx, "room-7", chat.Range{Limit: 10, Newest: true, Before: 1000})
		return err
	}
	delete(all, "Wipe") // last
	for name, call := range all {
		mu.Lock()
		asked = nil
		mu.Unlock()
		if err := call(t.Context()); err != nil && !chat.KindOf(err).Never() {
			t.Errorf("%s: %v", name, err)
		}
		mu.Lock()
		commands := slices.Clone(asked)
		mu.Unlock()
		for _, command := range commands {
			var plan bson.M
			if err := s.db.RunCommand(t.Context(), bson.D{{Key: "explain", Value: command}, {Key: "verbosity", Value: "queryPlanner"}}).Decode(&plan); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			stages := winning(plan, false)
			if slices.Contains(stages, "COLLSCAN") || slices.Contains(stages, "SORT") {
				t.Errorf("%s: stages %v of %v", name, stages, command)
			}
			if (name == "Connectors of all" || name == "Unread") && slices.Contains(stages, "FETCH") {
				t.Errorf("%s reads documents: stages %v", name, stages)
			}
		}
	}
}

// winning are the stages of the plans that were chosen, wherever they are.
func winning(v any, chosen bool) (stages []string) {
	switch v := v.(type) {
	case bson.M:
		for key, value := range v {
			if stage, ok := value.(string); ok && chosen && key == "stage" {
				stages = append(stages, stage)
			}
			if key != "rejectedPlans" {
				stages = append(stages, winning(value, chosen || key == "winningPlan")...)
			}
		}
	case bson.D:
		m := make(bson.M, len(v))
		for _, e := range v {
			m[e.Key] = e.Value
		}
		stages = winning(m, chosen)
	case bson.A:
		for _, value := range v {
			stages = append(stages, winning(value, chosen)...)
		}
	}
	return stages
}
