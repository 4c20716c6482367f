package history_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/functions/history"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/function"
)

// In a room that is too large for receipts others' read marks are not shown. Whoever pages,
// in either direction and in pages of any size, gets all the rest once, and no empty page
// before the last.
func TestReadMarksInLargeRooms(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	x := setUp(t)
	for _, user := range []chat.UserID{"bob", "carol"} {
		joined := x.event(room, "joined-"+string(user), user, chat.MemberJoined, chat.MemberData{User: user, Nickname: "x", Role: chat.Plain})
		x.append(joined)
		if err := x.store.Rooms().Apply(t.Context(), []chat.Event{*joined}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 400 {
		user := []chat.UserID{"alice", "bob", "carol"}[rnd.IntN(3)]
		typ, data := chat.ReadAdvanced, any(chat.ReadData{UpTo: 1})
		if i < 130 && rnd.IntN(5) == 0 || i > 330 && rnd.IntN(20) == 0 { // between there is a desert
			typ, data = chat.MessagePosted, chat.Posted{Text: "x"}
		} else if i > 130 && i < 330 {
			user = "bob"
		}
		x.append(x.event(room, fmt.Sprint("e", i), user, typ, data))
	}
	logged, err := x.log.Tail(t.Context(), room.Stream())
	if err != nil {
		t.Fatal(err)
	}
	if err := x.persisting(t.Context(), logged[:len(logged)/2]); err != nil {
		t.Fatal(err)
	}
	for _, most := range []int{2, 3} {
		x.f = history.New(function.Deps{Stores: x.store.Stores(), Log: x.log, Verifier: auth.NewVerifier(x.signer.Keys, nil), Config: function.Config{ReceiptsMembers: most}})
		var want []string
		for _, e := range logged {
			if !e.Type.Hidden() && (most == 3 || e.Type != chat.ReadAdvanced || e.User() == "alice") {
				want = append(want, e.ID)
			}
		}
		for _, limit := range []int{5, 50, 1000} {
			if limit == 5 && most == 3 {
				continue
			}
			var got []string
			for after, more := chat.Sequence(0), true; more; {
				var events []chat.Event
				events, more = x.events(fmt.Sprintf("limit=%d&after=%s", limit, after))
				if len(events) == 0 && more || len(events) > limit {
					t.Fatalf("a page of %d events", len(events))
				}
				for _, e := range events {
					got, after = append(got, e.ID), e.Sequence
				}
			}
			x.equal("forwards", got, want)
			got = nil
			for before, more := "", true; more; {
				var events []chat.Event
				events, more = x.events(fmt.Sprintf("limit=%d%s", limit, before))
				if len(events) == 0 && more || len(events) > limit {
					t.Fatalf("a page of %d events", len(events))
				}
				var page []string
				for _, e := range events {
					page = append(page, e.ID)
				}
				if len(events) > 0 {
					before = "&before=" + events[0].Sequence.String()
				}
				got = append(page, got...)
			}
			x.equal("backwards", got, want)
		}
	}
}
