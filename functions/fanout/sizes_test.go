package fanout_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/functions/fanout"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/pebble"
	"knatter.dev/chat/internal/projection"
)

// countedRooms counts the counts.
type countedRooms struct {
	projection.States
	counts atomic.Int32
}

func (c *countedRooms) Counts(ctx context.Context, rooms []chat.RoomID) (map[chat.RoomID]int, error) {
	c.counts.Add(1)
	return c.States.Counts(ctx, rooms)
}

// onlyTo keeps for whom deliveries are.
type onlyTo []string

func (s *onlyTo) Deliver(_ context.Context, deliveries []chat.Delivery) error {
	for _, d := range deliveries {
		*s = append(*s, fmt.Sprintf("%s:%s", d.Type.Short(), d.Only))
	}
	return nil
}

// Read marks of large rooms are for their user alone, and what is large is counted when
// somebody comes or goes.
func TestReadMarksOfLargeRooms(t *testing.T) {
	s, err := pebble.OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	stores := s.Stores()
	rooms := &countedRooms{States: stores.Rooms.States}
	stores.Rooms = projection.Rooms{States: rooms}
	var out onlyTo
	f := fanout.New(function.Deps{Stores: stores, Deliverer: &out, Config: function.Config{ReceiptsMembers: 2}})
	seq := chat.Sequence(0)
	handle := func(typ chat.Type, user chat.UserID, data any) {
		seq++
		e := event(t, "room", seq, typ, data)
		e.Source = chat.SourceOf(user)
		if typ.Member() {
			if err := s.Rooms().Apply(t.Context(), []chat.Event{e}); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.HandleEvents(t.Context(), []chat.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	joins := func(typ chat.Type, user chat.UserID) { handle(typ, user, chat.MemberData{User: user}) }
	reads := func() string {
		t.Helper()
		out = nil
		handle(chat.ReadAdvanced, "alice", chat.ReadData{UpTo: 1})
		handle(chat.MessagePosted, "alice", chat.Posted{Text: "x"})
		return strings.Join(out, " ")
	}
	const everybody, herself = "read.advanced: message.posted:", "read.advanced:alice message.posted:"
	handle(chat.RouteOpened, "", chat.RouteData{Connector: 1})
	for _, step := range []struct {
		typ  chat.Type
		user chat.UserID
		want string
	}{
		{chat.MemberJoined, "alice", everybody},
		{chat.MemberJoined, "bob", everybody},
		{chat.MemberJoined, "carol", herself},
		{chat.MemberJoined, "dan", herself},
		{chat.MemberLeft, "dan", herself},
		{chat.MemberRemoved, "carol", everybody},
	} {
		joins(step.typ, step.user)
		before := rooms.counts.Load()
		for range 20 {
			if got := reads(); got != step.want {
				t.Errorf("%s %s: %s, want %s", step.user, step.typ.Short(), got, step.want)
			}
		}
		if n := rooms.counts.Load() - before; n > 2 { // one, and one more a second while it settles
			t.Errorf("counted %d times", n)
		}
	}
}
