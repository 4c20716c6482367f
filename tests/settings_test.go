package tests

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
)

// Changes changes a room's settings.
func (p *Person) Changes(room chat.RoomID, change client.RoomChange) client.Room {
	p.t.Helper()
	r, err := p.ChangeRoom(p.t.Context(), room, change)
	if err != nil {
		p.t.Fatalf("%s cannot change the room: %v", p.User.Nickname, err)
	}
	return r
}

// Posts sends a message over HTTP.
func (p *Person) Posts(room chat.RoomID, id, text string) error {
	_, err := p.Post(p.t.Context(), chat.Event{ID: id, Source: "/x", Type: chat.MessagePosted, Room: room, Data: []byte(`{"text":"` + text + `"}`)})
	return err
}

// Edits, React and Says are what somebody does in a room.
func (w *Wire) Edits(room chat.RoomID, message chat.Sequence, text string) string {
	w.t.Helper()
	return w.Sends(chat.MessageEdited, room, map[string]any{"message": message, "text": text})
}

// Reacts adds a reaction.
func (w *Wire) Reacts(room chat.RoomID, message chat.Sequence) string {
	w.t.Helper()
	return w.Sends(chat.ReactionAdded, room, map[string]any{"message": message, "emoji": "👍"})
}

// IsForbidden wants an event refused with 403, whatever else comes before.
func (w *Wire) IsForbidden(id string) {
	w.t.Helper()
	if r := w.refusal(); r.Event != id || r.Status != http.StatusForbidden {
		w.t.Errorf("%s is answered by %+v, want 403", id, r)
	}
}

// IsTooEarly wants an event refused by slow mode, for up to so many seconds.
func (w *Wire) IsTooEarly(id string, seconds int) {
	w.t.Helper()
	if r := w.refusal(); r.Event != id || r.Status != http.StatusTooManyRequests || r.RetryAfter <= seconds-100 || r.RetryAfter > seconds {
		w.t.Errorf("%s is answered by %+v, want 429 and to try again after %d s", id, r, seconds)
	}
}

func (w *Wire) refusal() (r struct {
	refusal
	RetryAfter int `json:"retryAfter"`
}) {
	w.t.Helper()
	for {
		e := w.Next()
		switch e.Type {
		case chat.Refused:
			if err := e.Decode(&r); err != nil {
				w.t.Fatal(err)
			}
			return r
		case chat.Ack:
			w.t.Fatalf("not refused: %s", e.Data)
		}
	}
}

// withModerator is a room with an owner, a moderator and a plain member.
func withModerator(t *testing.T) (alice, mod, bob *Person, room chat.RoomID) {
	t.Helper()
	alice, bob = common(t).two(t)
	mod = common(t).someone(t, "mod")
	room = alice.Creates("Rules")
	bob.Joins(room)
	mod.Joins(room)
	if _, err := alice.SetRole(t.Context(), room, mod.User.ID, chat.Moderator); err != nil {
		t.Fatal(err)
	}
	return alice, mod, bob, room
}

// ways are sockets of a person: one that follows the room and one that does not.
func ways(p *Person, room chat.RoomID) []*Wire {
	p.t.Helper()
	follows := p.Wire()
	follows.Follows(room, "")
	follows.Gets(chat.RoomSubscribed)
	return []*Wire{follows, p.Wire()}
}

// What the settings say holds from the answer on, for who has written before too.
func TestOnlyModeratorsPost(t *testing.T) {
	t.Parallel()
	alice, mod, bob, room := withModerator(t)
	sockets := ways(bob, room)
	var last chat.Sequence
	for round := range 10 {
		for _, w := range sockets {
			last = w.GetsAck(w.Says(room, "before"))
		}
		moderators, everyone := chat.PostModerators, chat.PostEveryone
		if r := alice.Changes(room, client.RoomChange{Posting: &moderators}); r.Posting != moderators {
			t.Fatalf("%+v", r)
		}
		for _, w := range sockets {
			w.IsForbidden(w.Says(room, "refused"))
			w.IsForbidden(w.Edits(room, last, "refused"))
			w.GetsAck(w.Sends(chat.ReadAdvanced, room, chat.ReadData{UpTo: last}))
			if round == 0 {
				w.GetsAck(w.Reacts(room, last))
			}
		}
		wantKind(t, "over HTTP", bob.Posts(room, "refused", "refused"), chat.Forbidden)
		mod.Sends(room, "a moderator's")
		alice.Sends(room, "an owner's")
		alice.Changes(room, client.RoomChange{Posting: &everyone})
	}
}

func TestMuted(t *testing.T) {
	t.Parallel()
	alice, mod, bob, room := withModerator(t)
	sockets := ways(bob, room)
	mutes := func(p *Person, until time.Time) {
		t.Helper()
		m, err := p.Mute(t.Context(), room, bob.User.ID, until)
		if err != nil || (m.MutedUntil != nil) != until.After(time.Now()) {
			t.Fatalf("%+v, %v", m, err)
		}
	}
	for _, p := range []*Person{alice, mod} {
		var last chat.Sequence
		for _, w := range sockets {
			last = w.GetsAck(w.Says(room, "before"))
		}
		mutes(p, time.Now().Add(time.Hour))
		for _, w := range sockets {
			w.IsForbidden(w.Says(room, "refused"))
			w.IsForbidden(w.Edits(room, last, "refused"))
			w.IsForbidden(w.Reacts(room, last))
			w.IsForbidden(w.Sends(chat.TypingStarted, room, nil))
			w.GetsAck(w.Sends(chat.ReadAdvanced, room, chat.ReadData{UpTo: last}))
		}
		wantKind(t, "over HTTP", bob.Posts(room, "refused", "refused"), chat.Forbidden)
		mutes(p, time.Time{})
		for _, w := range sockets {
			w.GetsAck(w.Says(room, "after"))
		}
	}
	mutes(mod, time.Now().Add(time.Second))
	sockets[0].IsForbidden(sockets[0].Says(room, "refused"))
	time.Sleep(1100 * time.Millisecond) // mutes end by themselves
	sockets[0].GetsAck(sockets[0].Says(room, "after"))
	_, err := bob.Mute(t.Context(), room, mod.User.ID, time.Now().Add(time.Hour))
	wantKind(t, "a plain member mutes", err, chat.Forbidden)
}

// Slow mode counts what a user sends by whatever way.
func TestSlowMode(t *testing.T) {
	t.Parallel()
	alice, mod, bob, room := withModerator(t)
	sockets := ways(bob, room)
	sockets[0].GetsAck(sockets[0].Says(room, "one"))
	sockets[0].GetsAck(sockets[0].Says(room, "two"))
	seconds := 3600
	alice.Changes(room, client.RoomChange{SlowMode: &seconds})
	refused := func() {
		t.Helper()
		for _, w := range sockets {
			w.IsTooEarly(w.Says(room, "too early"), seconds)
		}
		err := bob.Posts(room, "too early", "too early")
		wantKind(t, "over HTTP", err, chat.TooMany)
	}
	refused() // what was said before counts too
	none := 0
	alice.Changes(room, client.RoomChange{SlowMode: &none})
	if err := bob.Posts(room, "posted", "by another way"); err != nil {
		t.Fatal(err)
	}
	alice.Changes(room, client.RoomChange{SlowMode: &seconds})
	refused()
	if err := bob.Posts(room, "posted", "by another way"); err != nil {
		t.Errorf("the same again: %v", err)
	}
	for range 2 {
		mod.Sends(room, "a moderator's")
		alice.Sends(room, "an owner's")
	}
	carol := common(t).someone(t, "carol")
	carol.Joins(room)
	for i, w := range ways(carol, room) {
		if id := w.Says(room, "carol's"); i == 0 {
			w.GetsAck(id)
		} else {
			w.IsTooEarly(id, seconds)
		}
	}
}

// Never more people join by a code than it has uses.
func TestInvitesByCode(t *testing.T) {
	t.Parallel()
	alice, mod, bob, room := withModerator(t)
	_, err := bob.CreateInvite(t.Context(), room, client.InviteOptions{})
	wantKind(t, "a plain member invites by a code", err, chat.Forbidden)
	closed := chat.JoinByInvitation
	alice.Changes(room, client.RoomChange{Joining: &closed})

	const uses, people = 5, 20
	invite, err := mod.CreateInvite(t.Context(), room, client.InviteOptions{Uses: uses, ExpiresIn: 600})
	if err != nil || invite.Uses != uses || invite.Used != 0 || invite.Expires == nil || invite.By.ID != mod.User.ID {
		t.Fatalf("%+v, %v", invite, err)
	}
	var in atomic.Int64
	var wg sync.WaitGroup
	for range people {
		p := common(t).someone(t, "guest")
		wantKind(t, "joining by the room's code", p.Join(t.Context(), room), chat.Forbidden)
		wg.Go(func() {
			for range 2 {
				switch r, err := p.Accept(t.Context(), invite.Code); {
				case err == nil && r.ID == room:
					in.Add(1)
				case chat.KindOf(err) != chat.NotFound:
					t.Errorf("%+v, %v", r, err)
				}
			}
		})
	}
	wg.Wait()
	members, err := alice.Members(t.Context(), room)
	if err != nil || in.Load() != 2*uses || len(members) != 3+uses {
		t.Errorf("%d of %d were let in, each twice; members %+v, %v", in.Load(), uses, members, err)
	}
	list, err := alice.Invites(t.Context(), room)
	if err != nil || len(list) != 1 || list[0].Used != uses || list[0].Code != invite.Code {
		t.Errorf("%+v, %v", list, err)
	}
	_, err = bob.Invites(t.Context(), room)
	wantKind(t, "a plain member lists codes", err, chat.Forbidden)

	carol := common(t).someone(t, "carol")
	for name, code := range map[string]string{"used up": invite.Code, "no such": "no-such-code"} {
		_, err = carol.Accept(t.Context(), code)
		wantKind(t, name, err, chat.NotFound)
	}
	if invite, err = alice.CreateInvite(t.Context(), room, client.InviteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := alice.Remove(t.Context(), room, bob.User.ID); err != nil {
		t.Fatal(err)
	}
	_, err = bob.Accept(t.Context(), invite.Code)
	wantKind(t, "removed since", err, chat.Forbidden)
	if err := alice.WithdrawInvite(t.Context(), room, invite.Code); err != nil {
		t.Fatal(err)
	}
	_, err = carol.Accept(t.Context(), invite.Code)
	wantKind(t, "withdrawn", err, chat.NotFound)
	if invite, err = mod.CreateInvite(t.Context(), room, client.InviteOptions{ExpiresIn: 1}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // codes expire by themselves
	_, err = carol.Accept(t.Context(), invite.Code)
	wantKind(t, "expired", err, chat.NotFound)
	if invite, err = mod.CreateInvite(t.Context(), room, client.InviteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Person{carol, bob} { // bob by an invite made after the removal
		if _, err := p.Accept(t.Context(), invite.Code); err != nil {
			t.Errorf("%s: %v", p.User.Nickname, err)
		}
	}
}

// In a room that people join by invitation, owners and moderators invite.
func TestClosedRoom(t *testing.T) {
	t.Parallel()
	alice, mod, bob, room := withModerator(t)
	carol, dave := common(t).two(t)
	closed, open := chat.JoinByInvitation, chat.JoinByCode
	alice.Changes(room, client.RoomChange{Joining: &closed})
	wantKind(t, "by the room's code", carol.Join(t.Context(), room), chat.Forbidden)
	wantKind(t, "a plain member invites", bob.Invite(t.Context(), room, carol.User.ID), chat.Forbidden)
	if err := mod.Invite(t.Context(), room, carol.User.ID); err != nil {
		t.Fatal(err)
	}
	carol.Joins(room)
	if err := carol.Leave(t.Context(), room); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "coming back by the room's code", carol.Join(t.Context(), room), chat.Forbidden)
	alice.Changes(room, client.RoomChange{Joining: &open})
	carol.Joins(room)
	if err := bob.Invite(t.Context(), room, dave.User.ID); err != nil {
		t.Error(err)
	}
}

// Own settings are the user's alone, and known to all of the user's sessions.
func TestPreferences(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room := alice.Creates("Mine")
	bob.Joins(room)
	bob.Follows(room)
	direct, err := bob.Direct(t.Context(), alice.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	other := bob.Wire()
	other.Follows(room, "")
	other.Gets(chat.RoomSubscribed)
	entry := func(p *Person, room chat.RoomID) client.Room {
		t.Helper()
		one, err := p.Room(t.Context(), room)
		if err != nil {
			t.Fatal(err)
		}
		rooms, err := p.Rooms(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rooms {
			if r.ID == room {
				if r.Notify != one.Notify || r.Favorite != one.Favorite || r.Members != one.Members || r.Topic != one.Topic {
					t.Errorf("the list has %+v, the room is %+v", r, one)
				}
				return r
			}
		}
		t.Fatalf("%s is not in the list", room)
		return client.Room{}
	}
	if r := entry(bob, room); r.Notify != chat.NotifyAll || r.Favorite || r.Members != 2 || r.Peer != nil {
		t.Errorf("%+v", r)
	}
	if r := entry(bob, direct.ID); r.Members != 2 || r.Peer == nil || r.Peer.ID != alice.User.ID || r.Peer.Nickname != "alice" || r.Name != "alice" {
		t.Errorf("%+v", r)
	}
	mentions, yes := chat.NotifyMentions, true
	for range 2 {
		r, err := bob.Prefer(t.Context(), room, client.Preferences{Notify: &mentions})
		if err != nil || r.Notify != mentions || r.Favorite {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if e := other.Gets(chat.RoomPreferred); e.Room != room || string(e.Data) != `{"notify":"mentions"}` || e.Sequence != 0 {
		t.Errorf("%+v", e)
	}
	bob.SeesEvent("his own settings", func(e *chat.Event) bool { return e.Type == chat.RoomPreferred && e.Room == room })
	if _, err := bob.Prefer(t.Context(), room, client.Preferences{Favorite: &yes}); err != nil {
		t.Fatal(err)
	}
	if e := other.Gets(chat.RoomPreferred); string(e.Data) != `{"favorite":true}` {
		t.Errorf("%s", e.Data)
	}
	if r := entry(bob, room); r.Notify != mentions || !r.Favorite {
		t.Errorf("%+v", r)
	}
	if r := entry(alice, room); r.Notify != chat.NotifyAll || r.Favorite {
		t.Errorf("alice's: %+v", r)
	}
	for _, e := range alice.ReadsEvents(room) {
		if e.Type == chat.MemberPreferred {
			t.Errorf("alice sees %s", e.Data)
		}
	}
	if _, err := alice.Prefer(t.Context(), direct.ID, client.Preferences{Favorite: &yes}); err != nil {
		t.Error(err)
	}
	if err := bob.Leave(t.Context(), room); err != nil {
		t.Fatal(err)
	}
	_, err = bob.Prefer(t.Context(), room, client.Preferences{Notify: &mentions})
	wantKind(t, "of a room that he has left", err, chat.Forbidden)
	if r := entry(alice, room); r.Members != 1 {
		t.Errorf("%+v", r)
	}
}

// A role and a nickname that change at the same moment both count: in the members, and for
// whoever folds the events.
func TestRoleAndNicknameAtOnce(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room := alice.Creates("Both")
	bob.Joins(room)
	folded := client.Member{User: bob.User.ID, Nickname: "bob", Role: chat.Plain}
	var last chat.Sequence
	for round := range 10 {
		nickname, role := fmt.Sprint("bob ", round), []chat.Role{chat.Moderator, chat.Plain}[round%2]
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := alice.SetRole(t.Context(), room, bob.User.ID, role); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := bob.Rename(t.Context(), nickname); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		want := client.Member{User: bob.User.ID, Nickname: nickname, Role: role}
		members, err := alice.Members(t.Context(), room)
		if err != nil || !slices.Contains(members, want) {
			t.Errorf("round %d: %+v, %v; want %+v", round, members, err, want)
		}
		for _, e := range alice.ReadsEvents(room) {
			var d chat.MemberData
			if e.Sequence <= last || e.Type != chat.MemberUpdated {
				continue
			}
			last = e.Sequence
			if err := e.Decode(&d); err != nil {
				t.Fatal(err)
			}
			switch d.Changed {
			case chat.ChangedNickname:
				folded.Nickname = d.Nickname
			case chat.ChangedRole:
				folded.Role = d.Role
			default:
				t.Errorf("%s does not say what it changes", e.Data)
			}
		}
		if folded != want {
			t.Errorf("round %d: folded %+v, want %+v", round, folded, want)
		}
	}
}
