package chattest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// RoomStore checks a [chat.RoomStore].
func RoomStore(t *testing.T, open func(t *testing.T) chat.RoomStore) {
	ctx := t.Context()
	joined := func(room chat.RoomID, user chat.UserID, seq chat.Sequence) chat.Event {
		return member(chat.MemberJoined, room, user, "nick of "+string(user), chat.Plain, seq)
	}

	t.Run("a room is created and renamed", func(t *testing.T) {
		s := open(t)
		_, err := s.Room(ctx, "room")
		wantKind(t, err, chat.NotFound)
		created := logged(chat.RoomCreated, "room", "alice", "1", 10, chat.RoomData{Name: "방", Kind: chat.Direct})
		must(t, s.Apply(ctx, []chat.Event{created}))
		room, err := s.Room(ctx, "room")
		must(t, err)
		wantEqual(t, "room", room, chat.Room{ID: "room", Name: "방", Kind: chat.Direct, Created: created.Time, Sequence: 10})
		must(t, s.Apply(ctx, []chat.Event{logged(chat.RoomUpdated, "room", "alice", "2", 12, chat.RoomData{Name: "new"})}))
		room, err = s.Room(ctx, "room")
		must(t, err)
		wantEqual(t, "room", room, chat.Room{ID: "room", Name: "new", Kind: chat.Direct, Created: created.Time, Sequence: 12})
	})

	t.Run("settings that change at the same moment all count", func(t *testing.T) {
		topic, slow, none := "주제", 30, ""
		log := []chat.Event{
			logged(chat.RoomCreated, "room", "alice", "1", 10, chat.RoomData{Name: "room", Kind: chat.Group}),
			logged(chat.RoomUpdated, "room", "alice", "2", 11, chat.RoomData{Name: "new", Joining: chat.JoinByInvitation}),
			logged(chat.RoomUpdated, "room", "bob", "3", 12, chat.RoomData{Name: "room", Topic: &topic, Changed: []string{"topic"}}),
			logged(chat.RoomUpdated, "room", "alice", "4", 13, chat.RoomData{Name: "room", Posting: chat.PostModerators, SlowMode: &slow, Changed: []string{"posting", "slowMode"}}),
		}
		want := chat.Room{
			ID: "room", Name: "new", Kind: chat.Group, Topic: topic, Joining: chat.JoinByInvitation, Posting: chat.PostModerators, SlowMode: 30 * time.Second,
			Created: log[0].Time, Sequence: 13,
		}
		for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1, 2}} {
			s := open(t)
			for _, i := range order {
				must(t, s.Apply(ctx, []chat.Event{log[i]}))
			}
			room, err := s.Room(ctx, "room")
			must(t, err)
			wantEqual(t, fmt.Sprint(order), room, want)
			must(t, s.Apply(ctx, []chat.Event{logged(chat.RoomUpdated, "room", "alice", "5", 14, chat.RoomData{Name: "room", Topic: &none, Changed: []string{"topic"}})}))
			room, err = s.Room(ctx, "room")
			must(t, err)
			if room.Topic != "" || room.Name != "new" {
				t.Fatalf("%+v", room)
			}
		}
	})

	t.Run("a mute counts beside nickname and role, and over a stay's end", func(t *testing.T) {
		s := open(t)
		until := epoch.Add(time.Hour)
		change := func(d chat.MemberData, seq chat.Sequence) chat.Event {
			return logged(chat.MemberUpdated, "room", "someone", fmt.Sprint(seq), seq, d)
		}
		must(t, s.Apply(ctx, []chat.Event{
			change(chat.MemberData{User: "alice", Nickname: "old", Role: chat.Owner, MutedUntil: &chat.Time{Time: until}, Changed: chat.ChangedMute}, 12),
			joined("room", "alice", 10),
			change(chat.MemberData{User: "alice", Nickname: "new", Role: chat.Plain, Changed: chat.ChangedNickname}, 11),
			member(chat.MemberLeft, "room", "alice", "new", chat.Plain, 13),
			joined("room", "alice", 14),
		}))
		m, err := s.Membership(ctx, "room", "alice")
		must(t, err)
		wantEqual(t, "muted", m, chat.Membership{Room: "room", User: "alice", Nickname: "nick of alice", Role: chat.Plain, Active: true, Since: 14, Sequence: 14, MutedUntil: until})
		if !m.Muted(until.Add(-1)) || m.Muted(until) {
			t.Fatalf("%+v", m)
		}
		must(t, s.Apply(ctx, []chat.Event{change(chat.MemberData{User: "alice", Nickname: "new", Role: chat.Plain, Changed: chat.ChangedMute}, 15)}))
		m, err = s.Membership(ctx, "room", "alice")
		must(t, err)
		if m.Muted(epoch) {
			t.Fatalf("%+v", m)
		}
	})

	t.Run("a user's own settings count beside all else", func(t *testing.T) {
		s := open(t)
		yes := true
		prefer := func(d chat.MemberData, seq chat.Sequence) chat.Event {
			d.User = "alice"
			return logged(chat.MemberPreferred, "room", "alice", fmt.Sprint(seq), seq, d)
		}
		must(t, s.Apply(ctx, []chat.Event{
			prefer(chat.MemberData{Notify: chat.NotifyNone}, 13),
			joined("room", "alice", 10),
			prefer(chat.MemberData{Notify: chat.NotifyMentions}, 12),
			prefer(chat.MemberData{Favorite: &yes}, 11),
		}))
		m, err := s.Membership(ctx, "room", "alice")
		must(t, err)
		wantEqual(t, "membership", m, chat.Membership{
			Room: "room", User: "alice", Nickname: "nick of alice", Role: chat.Plain, Active: true, Since: 10, Sequence: 10,
			Notify: chat.NotifyNone, Favorite: true,
		})
	})

	t.Run("members are counted however many come at once", func(t *testing.T) {
		s := open(t)
		var wg sync.WaitGroup
		for n := range 12 {
			user := chat.UserID(fmt.Sprint("user-", n))
			wg.Go(func() {
				events := []chat.Event{joined("room", user, chat.Sequence(10+n))}
				if n%3 == 0 {
					events = append(events, member(chat.MemberLeft, "room", user, "gone", chat.Plain, chat.Sequence(30+n)))
				}
				for _, e := range events {
					if err := s.Apply(ctx, []chat.Event{e}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		counts, err := s.Counts(ctx, []chat.RoomID{"room", "other"})
		must(t, err)
		wantEqual(t, "counts", counts, map[chat.RoomID]int{"room": 8})
	})

	t.Run("a member joins, is promoted, leaves, comes back", func(t *testing.T) {
		s := open(t)
		_, err := s.Membership(ctx, "room", "alice")
		wantKind(t, err, chat.NotFound)
		for _, step := range []struct {
			e    chat.Event
			want chat.Membership
		}{
			{joined("room", "alice", 10), chat.Membership{Nickname: "nick of alice", Role: chat.Plain, Active: true, Since: 10, Sequence: 10}},
			{member(chat.MemberUpdated, "room", "alice", "앨리스", chat.Owner, 11), chat.Membership{Nickname: "앨리스", Role: chat.Owner, Active: true, Since: 10, Sequence: 11}},
			{member(chat.MemberLeft, "room", "alice", "앨리스", chat.Owner, 12), chat.Membership{Nickname: "앨리스", Role: chat.Owner, Sequence: 12}},
			{member(chat.MemberJoined, "room", "alice", "al", chat.Plain, 13), chat.Membership{Nickname: "al", Role: chat.Plain, Active: true, Since: 13, Sequence: 13}},
			{member(chat.MemberRemoved, "room", "alice", "al", chat.Plain, 14), chat.Membership{Nickname: "al", Role: chat.Plain, Removed: true, Sequence: 14}},
		} {
			must(t, s.Apply(ctx, []chat.Event{step.e}))
			step.want.Room, step.want.User = "room", "alice"
			m, err := s.Membership(ctx, "room", "alice")
			must(t, err)
			wantEqual(t, string(step.e.Type), m, step.want)
			rooms, err := s.RoomsOf(ctx, "alice")
			must(t, err)
			if m.Active {
				wantEqual(t, "rooms", rooms, []chat.Membership{m})
			} else if len(rooms) != 0 {
				t.Fatalf("rooms after %s: %v", step.e.Type, rooms)
			}
			members, err := s.Members(ctx, "room")
			must(t, err)
			wantEqual(t, "members", members, []chat.Membership{m})
		}
	})

	t.Run("an update logged after a removal does not bring a member back", func(t *testing.T) {
		log := []chat.Event{
			joined("room", "alice", 10),
			member(chat.MemberRemoved, "room", "alice", "alice", chat.Plain, 11),
			member(chat.MemberUpdated, "room", "alice", "renamed", chat.Plain, 12),
		}
		for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {0, 2, 1}, {2, 0, 1}, {1, 0, 2}} {
			s := open(t)
			for _, i := range order {
				must(t, s.Apply(ctx, []chat.Event{log[i]}))
			}
			m, err := s.Membership(ctx, "room", "alice")
			must(t, err)
			wantEqual(t, fmt.Sprint(order), m, chat.Membership{Room: "room", User: "alice", Nickname: "renamed", Role: chat.Plain, Removed: true, Sequence: 12})
		}
	})

	t.Run("other types and users' streams are ignored", func(t *testing.T) {
		s := open(t)
		stream := joined("room", "alice", 10)
		stream.Stream = chat.StreamOf("alice")
		onStream := joined("@alice", "alice", 11)
		others := []chat.Event{
			stream, onStream,
			{ID: "u", Source: "/users/alice", Type: chat.Prefix + "unknown", Room: "room", Stream: "room", Sequence: 12, Data: json.RawMessage(`[]`)},
		}
		for _, e := range ofEachType("room") {
			_, folded, err := projection.Of(&e)
			must(t, err)
			if !folded {
				others = append(others, e)
			}
		}
		must(t, s.Apply(ctx, others))
		_, err := s.Membership(ctx, "room", "alice")
		wantKind(t, err, chat.NotFound)
		_, err = s.Room(ctx, "room")
		wantKind(t, err, chat.NotFound)
		rooms, err := s.RoomsOf(ctx, "alice")
		must(t, err)
		if len(rooms) != 0 {
			t.Fatalf("rooms: %v", rooms)
		}
	})

	t.Run("reading advances and never goes back", func(t *testing.T) {
		s := open(t)
		read := func(seq, upTo chat.Sequence) chat.Event {
			return logged(chat.ReadAdvanced, "room", "alice", fmt.Sprint(seq), seq, chat.ReadData{UpTo: upTo})
		}
		// Reading may be applied before the joining that was logged before it.
		must(t, s.Apply(ctx, []chat.Event{read(20, 15)}))
		_, err := s.Membership(ctx, "room", "alice")
		wantKind(t, err, chat.NotFound)
		must(t, s.Apply(ctx, []chat.Event{joined("room", "alice", 10), joined("room", "bob", 11)}))
		for _, step := range []struct{ seq, upTo, want chat.Sequence }{{20, 15, 15}, {18, 12, 15}, {30, 25, 25}, {40, 5, 25}} {
			must(t, s.Apply(ctx, []chat.Event{read(step.seq, step.upTo)}))
			m, err := s.Membership(ctx, "room", "alice")
			must(t, err)
			rooms, err := s.RoomsOf(ctx, "alice")
			must(t, err)
			members, err := s.Members(ctx, "room")
			must(t, err)
			if m.Read != step.want || m.Sequence != 10 || rooms[0].Read != step.want || members[0].Read != step.want || members[1].Read != 0 {
				t.Fatalf("%+v: %+v %+v %+v", step, m, rooms, members)
			}
		}
	})

	t.Run("a read mark is of its stay and not beyond its event", func(t *testing.T) {
		s := open(t)
		read := func(seq, upTo chat.Sequence) chat.Event {
			return logged(chat.ReadAdvanced, "room", "alice", fmt.Sprint(seq), seq, chat.ReadData{UpTo: upTo})
		}
		for _, step := range []struct {
			e           chat.Event
			since, want chat.Sequence
		}{
			{joined("room", "alice", 10), 10, 0},
			{read(20, 1<<53-1), 10, 20},
			{member(chat.MemberUpdated, "room", "alice", "al", chat.Owner, 21), 10, 20},
			{member(chat.MemberLeft, "room", "alice", "al", chat.Owner, 30), 0, 0},
			{joined("room", "alice", 40), 40, 0},
			{read(41, 15), 40, 0},
			{read(42, 40), 40, 40},
		} {
			must(t, s.Apply(ctx, []chat.Event{step.e}))
			m, err := s.Membership(ctx, "room", "alice")
			must(t, err)
			if m.Since != step.since || m.Read != step.want {
				t.Fatalf("after %d: since %d, read %d, want %d and %d", step.e.Sequence, m.Since, m.Read, step.since, step.want)
			}
		}
	})

	t.Run("a nickname and a role that change at the same moment both count", func(t *testing.T) {
		s := open(t)
		change := func(d chat.MemberData, seq chat.Sequence) chat.Event {
			return logged(chat.MemberUpdated, "room", "someone", fmt.Sprint(seq), seq, d)
		}
		must(t, s.Apply(ctx, []chat.Event{
			joined("room", "alice", 10),
			change(chat.MemberData{User: "alice", Nickname: "nick of alice", Role: chat.Moderator, Changed: chat.ChangedRole}, 12),
			change(chat.MemberData{User: "alice", Nickname: "new", Role: chat.Plain, Changed: chat.ChangedNickname}, 13),
			change(chat.MemberData{User: "alice", Nickname: "newer", Role: chat.Plain, Changed: chat.ChangedNickname}, 11),
		}))
		m, err := s.Membership(ctx, "room", "alice")
		must(t, err)
		if m.Nickname != "new" || m.Role != chat.Moderator {
			t.Fatalf("%+v", m)
		}
	})

	t.Run("an invitation waits, and is accepted, declined, renewed", func(t *testing.T) {
		s := open(t)
		invited := func(room chat.RoomID, seq chat.Sequence) chat.Event {
			return member(chat.MemberInvited, room, "alice", "alice", chat.Plain, seq)
		}
		rooms := func() (list []chat.RoomID) {
			t.Helper()
			waiting, err := s.Invitations(ctx, "alice")
			must(t, err)
			for _, m := range waiting {
				list = append(list, m.Room)
			}
			return list
		}
		must(t, s.Apply(ctx, []chat.Event{invited("b", 10), invited("a", 11), joined("a", "bob", 12)}))
		m, err := s.Membership(ctx, "b", "alice")
		must(t, err)
		wantEqual(t, "waiting", m, chat.Membership{Room: "b", User: "alice", InvitedBy: "someone", InvitedAt: epoch.Add(10 * time.Millisecond)})
		wantEqual(t, "rooms", rooms(), []chat.RoomID{"a", "b"})
		mine, err := s.RoomsOf(ctx, "alice")
		must(t, err)
		members, err := s.Members(ctx, "b")
		must(t, err)
		if len(mine) != 0 || len(members) != 0 {
			t.Fatalf("an invitation counts: %v %v", mine, members)
		}
		must(t, s.Apply(ctx, []chat.Event{joined("a", "alice", 20), member(chat.MemberDeclined, "b", "alice", "", "", 21)}))
		wantEqual(t, "rooms", rooms(), []chat.RoomID(nil))
		_, err = s.Membership(ctx, "b", "alice")
		wantKind(t, err, chat.NotFound)
		must(t, s.Apply(ctx, []chat.Event{invited("b", 30)}))
		wantEqual(t, "rooms", rooms(), []chat.RoomID{"b"})
		none, err := s.Invitations(ctx, "nobody")
		must(t, err)
		if len(none) != 0 {
			t.Fatalf("invitations of nobody: %v", none)
		}
	})

	t.Run("which rooms have an owner", func(t *testing.T) {
		s := open(t)
		owned := func() map[chat.RoomID]bool {
			t.Helper()
			got, err := s.Owned(ctx, []chat.RoomID{"room", "roo", "other", "none"})
			must(t, err)
			return got
		}
		role := func(user chat.UserID, role chat.Role, seq chat.Sequence) chat.Event {
			return member(chat.MemberUpdated, "room", user, "n", role, seq)
		}
		wantEqual(t, "nothing", owned(), map[chat.RoomID]bool{})
		must(t, s.Apply(ctx, []chat.Event{joined("room", "alice", 10), joined("room", "bob", 11), joined("other", "bob", 12), role("alice", chat.Owner, 13)}))
		wantEqual(t, "alice", owned(), map[chat.RoomID]bool{"room": true})
		must(t, s.Apply(ctx, []chat.Event{role("bob", chat.Owner, 14), member(chat.MemberLeft, "room", "alice", "n", chat.Owner, 15)}))
		wantEqual(t, "bob", owned(), map[chat.RoomID]bool{"room": true})
		must(t, s.Apply(ctx, []chat.Event{role("bob", chat.Moderator, 16)}))
		wantEqual(t, "nobody", owned(), map[chat.RoomID]bool{})
		must(t, s.Apply(ctx, []chat.Event{role("alice", chat.Owner, 17)}))
		wantEqual(t, "one who has left", owned(), map[chat.RoomID]bool{})
	})

	t.Run("lists are in order and complete", func(t *testing.T) {
		s := open(t)
		var log []chat.Event
		for i, user := range []chat.UserID{"carol", "alice", "bob", "al", "alice-2"} {
			for j, room := range []chat.RoomID{"zoo", "bar", "ba", "bar-2"} {
				log = append(log, joined(room, user, chat.Sequence(100*i+j+1)))
			}
		}
		log = append(log, member(chat.MemberLeft, "bar", "alice", "alice", chat.Plain, 1000))
		must(t, s.Apply(ctx, log))
		members, err := s.Members(ctx, "bar")
		must(t, err)
		var users []chat.UserID
		for _, m := range members {
			users = append(users, m.User)
			if m.Active == (m.User == "alice") {
				t.Errorf("%+v", m)
			}
		}
		wantEqual(t, "members", users, []chat.UserID{"al", "alice", "alice-2", "bob", "carol"})
		mine, err := s.RoomsOf(ctx, "alice")
		must(t, err)
		var rooms []chat.RoomID
		for _, m := range mine {
			rooms = append(rooms, m.Room)
		}
		wantEqual(t, "rooms", rooms, []chat.RoomID{"ba", "bar-2", "zoo"})
	})

	t.Run("order, repetition and replay make no difference", func(t *testing.T) {
		var want string
		shuffled(t, open, func(t *testing.T, s chat.RoomStore, rnd *rand.Rand) {
			log := roomLog()
			batches := deliveries(rnd, log)
			if want == "" { // the first run is in the log's own order
				batches = [][]chat.Event{log}
			}
			for _, batch := range batches {
				must(t, s.Apply(ctx, batch))
			}
			got := roomState(t, s)
			if want == "" {
				want = got
			}
			if got != want {
				t.Fatalf("\n got %s\nwant %s", got, want)
			}
			must(t, s.Apply(ctx, log[:len(log)/2])) // a rewound group
			if got := roomState(t, s); got != want {
				t.Fatalf("rewound:\n got %s\nwant %s", got, want)
			}
		})
	})

	t.Run("concurrent calls", func(t *testing.T) {
		ordered, s := open(t), open(t)
		log := roomLog()
		must(t, ordered.Apply(ctx, log))
		rnd := rand.New(rand.NewPCG(3, 4))
		orders := make([][][]chat.Event, 8)
		for i := range orders {
			orders[i] = deliveries(rnd, log)
		}
		concurrently(len(orders), func(i int) {
			for _, batch := range orders[i] {
				if err := s.Apply(context.WithoutCancel(ctx), batch); err != nil {
					t.Error(err)
				}
			}
		})
		if got, want := roomState(t, s), roomState(t, ordered); got != want {
			t.Fatalf("\n got %s\nwant %s", got, want)
		}
	})
}

func member(typ chat.Type, room chat.RoomID, user chat.UserID, nickname string, role chat.Role, seq chat.Sequence) chat.Event {
	return logged(typ, room, "someone", fmt.Sprint("m", seq), seq, chat.MemberData{User: user, Nickname: nickname, Role: role})
}

// roomLog is a log of all that can happen to two rooms and three users.
func roomLog() []chat.Event {
	rnd := rand.New(rand.NewPCG(5, 6))
	var log []chat.Event
	for seq := chat.Sequence(1); seq <= 80; seq++ {
		room := chat.RoomID([]string{"one", "two"}[rnd.IntN(2)])
		user := chat.UserID([]string{"alice", "bob", "carol"}[rnd.IntN(3)])
		role := []chat.Role{chat.Owner, chat.Moderator, chat.Plain}[rnd.IntN(3)]
		switch rnd.IntN(4) {
		case 0:
			log = append(log, logged(chat.ReadAdvanced, room, user, fmt.Sprint(seq), seq, chat.ReadData{UpTo: chat.Sequence(rnd.IntN(int(seq)) + 1)}))
		case 1:
			log = append(log, logged(chat.RoomUpdated, room, user, fmt.Sprint(seq), seq, chat.RoomData{Name: fmt.Sprint("name ", seq)}))
		default:
			types := []chat.Type{chat.MemberJoined, chat.MemberJoined, chat.MemberLeft, chat.MemberRemoved, chat.MemberUpdated, chat.MemberInvited, chat.MemberDeclined}
			log = append(log, member(types[rnd.IntN(len(types))], room, user, fmt.Sprint("nick ", seq), role, seq))
		}
	}
	for i, room := range []chat.RoomID{"one", "two"} {
		created := logged(chat.RoomCreated, room, "alice", "created", chat.Sequence(i+1), chat.RoomData{Name: "first", Kind: chat.Group})
		log[i] = created
		again := created // resent
		again.Sequence = 50 + chat.Sequence(i)
		log[49+i] = again
	}
	return log
}

// roomState is everything that a store tells about the rooms of roomLog.
func roomState(t *testing.T, s chat.RoomStore) string {
	t.Helper()
	var state []any
	for _, room := range []chat.RoomID{"one", "two"} {
		r, err := s.Room(t.Context(), room)
		must(t, err)
		members, err := s.Members(t.Context(), room)
		must(t, err)
		owned, err := s.Owned(t.Context(), []chat.RoomID{room})
		must(t, err)
		counts, err := s.Counts(t.Context(), []chat.RoomID{room, "none", "no room"})
		must(t, err)
		active := 0
		for _, m := range members {
			if m.Active {
				active++
			}
		}
		if counts[room] != active || counts["none"] != 0 {
			t.Fatalf("%d members are counted, and there are %d", counts[room], active)
		}
		state = append(state, r, members, owned, counts)
		for _, m := range members {
			one, err := s.Membership(t.Context(), room, m.User)
			must(t, err)
			wantEqual(t, "membership", one, m)
			mine, err := s.RoomsOf(t.Context(), m.User)
			must(t, err)
			if slices.Contains(mine, m) != m.Active {
				t.Fatalf("rooms of %s: %v, member: %v", m.User, mine, m)
			}
			waiting, err := s.Invitations(t.Context(), m.User)
			must(t, err)
			if slices.Contains(waiting, m) != (m.InvitedBy != "") {
				t.Fatalf("invitations of %s: %v, member: %v", m.User, waiting, m)
			}
		}
	}
	return describe(state)
}
