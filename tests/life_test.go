package tests

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
	"knatter.dev/chat/internal/wait/waittest"
)

// message is a message as the person sees it now.
func (p *Person) message(room chat.RoomID, sequence chat.Sequence) client.Message {
	p.t.Helper()
	m, err := p.Message(p.t.Context(), room, sequence)
	if err != nil {
		p.t.Fatalf("%s cannot read a message: %v", p.User.Nickname, err)
	}
	return m
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestEditing(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room := alice.Creates("Editing")
	bob.Joins(room)
	bob.Follows(room)
	m := alice.Sends(room, "회의는 두 시에")
	must(t, "edit", alice.Conn().Edit(t.Context(), room, m, "회의는 세 시에", bob.User.ID, chat.Everyone, "nobody-here", bob.User.ID))
	got := bob.SeesEvent("the edit", func(e *chat.Event) bool { return e.Type == chat.MessageEdited })
	var edited chat.Edited
	if err := got.Decode(&edited); err != nil || edited.Message != m || edited.Text != "회의는 세 시에" || !slices.Equal(edited.Mentions, []chat.UserID{bob.User.ID, chat.Everyone}) {
		t.Errorf("bob gets %+v, %v", edited, err)
	}
	for _, p := range []*Person{alice, bob} {
		if got := p.message(room, m); got.Text != "회의는 세 시에" || got.EditedTime.IsZero() || got.Sequence != m || !slices.Equal(got.Mentions, edited.Mentions) {
			t.Errorf("%s reads %+v", p.User.Nickname, got)
		}
	}
	for _, e := range bob.ReadsEvents(room) {
		if strings.Contains(string(e.Data), "두 시에") {
			t.Errorf("an event still says %s", e.Data)
		}
	}
	rooms, err := bob.Rooms(t.Context())
	must(t, "rooms", err)
	if len(rooms) != 1 || rooms[0].LastMessage == nil || rooms[0].LastMessage.Text != "회의는 세 시에" || rooms[0].Unread != 1 || rooms[0].Mentions != 1 {
		t.Errorf("bob's rooms are %+v", rooms)
	}

	wantKind(t, "bob edits alice's", bob.Conn().Edit(t.Context(), room, m, "mine"), chat.Forbidden)
	wantKind(t, "editing what is not there", alice.Conn().Edit(t.Context(), room, m+1000, "x"), chat.NotFound)
	wantKind(t, "editing an event that is no message", alice.Conn().Edit(t.Context(), room, alice.ReadsEvents(room)[0].Sequence, "x"), chat.NotFound)
	wantKind(t, "to nothing", alice.Conn().Edit(t.Context(), room, m, ""), chat.Invalid)
	wantKind(t, "to too much", alice.Conn().Edit(t.Context(), room, m, strings.Repeat("글", chat.MaxText+1)), chat.Invalid)
	other := alice.Creates("Other")
	wantKind(t, "through another room", alice.Conn().Edit(t.Context(), other, m, "x"), chat.NotFound)
}

func TestDeleting(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room := alice.Creates("Deleting")
	bob.Joins(room)
	m := bob.Sends(room, "secretword one")
	must(t, "edit", bob.Conn().Edit(t.Context(), room, m, "secretword two", alice.User.ID))
	must(t, "react", alice.Conn().React(t.Context(), room, m, "👍"))
	must(t, "pin", alice.Conn().Pin(t.Context(), room, m))
	reply, err := alice.Conn().Post(t.Context(), room, chat.Posted{Text: "what?", ReplyTo: m})
	must(t, "reply", err)
	kept := alice.Sends(room, "alice's own")

	wantKind(t, "bob deletes alice's", bob.Conn().Delete(t.Context(), room, kept), chat.Forbidden)
	must(t, "delete", bob.Conn().Delete(t.Context(), room, m))
	must(t, "delete again", alice.Conn().Delete(t.Context(), room, m))
	for _, p := range []*Person{alice, bob} {
		got := p.message(room, m)
		if !got.Deleted || got.Text != "" || got.User != bob.User.ID || got.Nickname != "bob" || got.Reactions != nil || got.Pinned || got.Mentions != nil || !got.EditedTime.IsZero() {
			t.Errorf("%s reads %+v", p.User.Nickname, got)
		}
		if got := p.message(room, reply); got.Quoted == nil || !got.Quoted.Deleted || got.Quoted.Text != "" || got.Quoted.User != bob.User.ID || got.Quoted.Nickname != "bob" {
			t.Errorf("%s reads the reply %+v", p.User.Nickname, got)
		}
		for _, e := range p.ReadsEvents(room) {
			if strings.Contains(string(e.Data), "secretword") {
				t.Errorf("%s still says %s", e.Type, e.Data)
			}
		}
	}
	w := alice.Wire()
	w.Follows(room, "0000000000000000")
	for {
		e := w.Next()
		if strings.Contains(string(e.Data), "secretword") {
			t.Errorf("a replay has %s", e.Data)
		}
		if e.Type == chat.RoomSubscribed {
			break
		}
	}
	if pins, err := alice.Pins(t.Context(), room); err != nil || len(pins) != 0 {
		t.Errorf("pinned are %+v, %v", pins, err)
	}
	conn := alice.Conn()
	wantKind(t, "edit", bob.Conn().Edit(t.Context(), room, m, "back"), chat.NotFound)
	wantKind(t, "react", conn.React(t.Context(), room, m, "👍"), chat.NotFound)
	wantKind(t, "pin", conn.Pin(t.Context(), room, m), chat.NotFound)
	_, err = conn.Post(t.Context(), room, chat.Posted{Text: "x", ReplyTo: m})
	wantKind(t, "reply", err, chat.NotFound)
	must(t, "unreact", conn.Unreact(t.Context(), room, m, "👍"))
	must(t, "unpin", conn.Unpin(t.Context(), room, m))
	must(t, "a moderator deletes", alice.Conn().Delete(t.Context(), room, kept))
	rooms, err := bob.Rooms(t.Context())
	must(t, "rooms", err)
	if last := rooms[0].LastMessage; last == nil || !last.Deleted || last.Text != "" || rooms[0].Unread != 1 { // the reply
		t.Errorf("bob's room is %+v, its last message %+v", rooms[0], last)
	}
}

func TestReacting(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room := alice.Creates("Reacting")
	bob.Joins(room)
	m := alice.Sends(room, "how about it?")
	a, b := alice.Conn(), bob.Conn()
	must(t, "react", a.React(t.Context(), room, m, "❤")) // not qualified
	must(t, "react", b.React(t.Context(), room, m, "👍🏽"))
	must(t, "react", b.React(t.Context(), room, m, "❤️"))
	must(t, "react again", b.React(t.Context(), room, m, "❤"))
	want := func(reactions ...string) {
		t.Helper()
		var got []string
		for _, r := range bob.message(room, m).Reactions {
			users := make([]string, len(r.Users))
			for i, u := range r.Users {
				users[i] = map[chat.UserID]string{alice.User.ID: "alice", bob.User.ID: "bob"}[u]
			}
			if r.Count != len(r.Users) || r.Mine != slices.Contains(r.Users, bob.User.ID) {
				t.Errorf("%+v", r)
			}
			got = append(got, r.Emoji+" "+strings.Join(users, " "))
		}
		if !slices.Equal(got, reactions) {
			t.Errorf("reactions are %q, want %q", got, reactions)
		}
	}
	want("❤️ alice bob", "👍🏽 bob")
	must(t, "unreact", a.Unreact(t.Context(), room, m, "❤️"))
	must(t, "unreact again", a.Unreact(t.Context(), room, m, "❤️"))
	want("👍🏽 bob", "❤️ bob")
	for _, bad := range []string{"", "a", "👍👍", "ㅋ", "1", "🇰", strings.Repeat("👍", 20)} {
		wantKind(t, "reacting with "+bad, a.React(t.Context(), room, m, bad), chat.Invalid)
	}
	for _, emoji := range []string{"😀", "😁", "😂", "🤣", "😃", "😄", "😅", "😆", "😉", "😊", "😋", "😎", "😍", "😘", "🥰", "😗", "😙", "😚"} {
		must(t, "react", a.React(t.Context(), room, m, emoji))
	}
	wantKind(t, "one more emoji", a.React(t.Context(), room, m, "🙂"), chat.Invalid)
	must(t, "one more of those", a.React(t.Context(), room, m, "👍🏽"))
}

func TestPinning(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room := alice.Creates("Pinning")
	bob.Joins(room)
	one, two := bob.Sends(room, "one"), bob.Sends(room, "two")
	wantKind(t, "bob pins", bob.Conn().Pin(t.Context(), room, one), chat.Forbidden)
	for _, m := range []chat.Sequence{two, one, two} {
		must(t, "pin", alice.Conn().Pin(t.Context(), room, m))
	}
	pinned := func(want ...string) {
		t.Helper()
		pins, err := bob.Pins(t.Context(), room)
		if got := texts(pins); err != nil || !slices.Equal(got, want) {
			t.Errorf("pinned are %q, %v; want %q", got, err, want)
		}
		for _, p := range pins {
			if !p.Pinned {
				t.Errorf("%+v", p)
			}
		}
	}
	pinned("one", "two")
	must(t, "unpin", alice.Conn().Unpin(t.Context(), room, one))
	must(t, "unpin again", alice.Conn().Unpin(t.Context(), room, one))
	pinned("two")

	direct, err := alice.Direct(t.Context(), bob.User.ID)
	must(t, "direct", err)
	m := alice.Sends(direct.ID, "between us")
	must(t, "bob pins in a direct room", bob.Conn().Pin(t.Context(), direct.ID, m))
}

// What changes nothing is acknowledged, and nobody hears of it; an event that is sent again
// is acknowledged as the first time, whatever happened since.
func TestSentAgain(t *testing.T) {
	t.Parallel()
	alice := common(t).someone(t, "alice")
	room := alice.Creates("Again")
	m := alice.Sends(room, "hello")
	send := func(id string, typ chat.Type, data string) (chat.Sequence, error) {
		acks, err := alice.Post(t.Context(), chat.Event{ID: id, Source: "/x", Type: typ, Room: room, Data: []byte(data)})
		if err != nil {
			return 0, err
		}
		return acks[0].Sequence, nil
	}
	about := `{"message":"` + m.String() + `"`
	first, err := send("1", chat.ReactionAdded, about+`,"emoji":"👍"}`)
	must(t, "add", err)
	if _, err := send("2", chat.ReactionRemoved, about+`,"emoji":"👍"}`); err != nil {
		t.Fatal(err)
	}
	again, err := send("1", chat.ReactionAdded, about+`,"emoji":"👍"}`)
	if err != nil || again != first {
		t.Errorf("again: %s, %v; want %s", again, err, first)
	}
	if got := alice.message(room, m); got.Reactions != nil {
		t.Errorf("a reaction that was sent again is %+v", got.Reactions)
	}
	if _, err := send("1", chat.MessageDeleted, about+`}`); chat.KindOf(err) != chat.Conflict {
		t.Errorf("another event under the same id: %v", err)
	}
	before := len(alice.ReadsEvents(room))
	for i, data := range []string{about + `,"emoji":"👍"}`, about + `,"emoji":"❤️"}`} {
		if _, err := send("none"+data, chat.ReactionRemoved, data); i == 0 && err == nil {
			t.Error("an id of more than 64 characters, or not of ASCII, is taken")
		}
	}
	if _, err := send("3", chat.ReactionRemoved, about+`,"emoji":"❤️"}`); err != nil {
		t.Error(err)
	}
	if got := len(alice.ReadsEvents(room)); got != before {
		t.Errorf("what changes nothing was logged: %d events, then %d", before, got)
	}
}

func TestReplying(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	room, other := alice.Creates("Replying"), alice.Creates("Other")
	bob.Joins(room)
	long := strings.Repeat("긴 ", 300)
	m, elsewhere := alice.Sends(room, long), alice.Sends(other, "elsewhere")
	reply, err := bob.Conn().Post(t.Context(), room, chat.Posted{Text: "yes", ReplyTo: m, Mentions: []chat.UserID{alice.User.ID, "stranger"}})
	must(t, "reply", err)
	got := alice.message(room, reply)
	if got.ReplyTo != m || got.Quoted == nil || got.Quoted.Text != string([]rune(long)[:200]) || got.Quoted.Nickname != "alice" || !slices.Equal(got.Mentions, []chat.UserID{alice.User.ID}) {
		t.Errorf("alice reads %+v, quoting %+v", got, got.Quoted)
	}
	must(t, "edit", alice.Conn().Edit(t.Context(), room, m, "short"))
	if got := alice.message(room, reply); got.Quoted.Text != "short" {
		t.Errorf("the quote is %+v", got.Quoted)
	}
	for _, to := range []chat.Sequence{elsewhere, m + 1000, alice.ReadsEvents(room)[0].Sequence} {
		_, err := bob.Conn().Post(t.Context(), room, chat.Posted{Text: "x", ReplyTo: to})
		wantKind(t, "a reply to "+to.String(), err, chat.NotFound)
	}
	w := bob.Wire()
	w.IsRefused(w.Sends(chat.MessagePosted, room, map[string]string{"text": "x", "replyTo": "nothing"}), http.StatusUnprocessableEntity)
}

// A message can be changed by its sender for a while only; owners are free of that.
func TestWindows(t *testing.T) {
	s := own(t, "--edit-window", "1s", "--recall-window", "1s")
	alice, bob := s.two(t)
	room := alice.Creates("Windows")
	bob.Joins(room)
	m := bob.Sends(room, "hello")
	must(t, "edit at once", bob.Conn().Edit(t.Context(), room, m, "hello!"))
	waittest.Until(t, "bob is too late to edit", func() bool {
		return chat.KindOf(bob.Conn().Edit(t.Context(), room, m, "too late")) == chat.Forbidden
	})
	waittest.Until(t, "bob is too late to recall", func() bool {
		return chat.KindOf(bob.Conn().Delete(t.Context(), room, bob.Sends(room, "x"))) != chat.Forbidden &&
			chat.KindOf(bob.Conn().Delete(t.Context(), room, m)) == chat.Forbidden
	})
	must(t, "an owner deletes", alice.Conn().Delete(t.Context(), room, m))
}

// Beside each message is how many members have yet to read it: of those who were there
// when it was sent, and not its sender.
func TestUnreadBy(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	carol := common(t).someone(t, "carol")
	room := alice.Creates("Reading")
	bob.Joins(room)
	first := alice.Sends(room, "first")
	carol.Joins(room)
	second := alice.Sends(room, "second")
	unreadBy := func(want ...int) {
		t.Helper()
		for i, m := range []chat.Sequence{first, second} {
			if got := carol.message(room, m).UnreadBy; got == nil || *got != want[i] {
				t.Errorf("message %d is unread by %v, want %d", i, got, want[i])
			}
		}
	}
	unreadBy(1, 2)
	must(t, "read", bob.Conn().Read(t.Context(), room, first))
	unreadBy(0, 2)
	must(t, "read", carol.Conn().Read(t.Context(), room, second))
	unreadBy(0, 1)
	must(t, "delete", alice.Conn().Delete(t.Context(), room, second))
	if got := carol.message(room, second); got.UnreadBy != nil {
		t.Errorf("a deleted message is %+v", got)
	}
}

func TestAround(t *testing.T) {
	t.Parallel()
	alice := common(t).someone(t, "alice")
	room := alice.Creates("Around")
	var all []chat.Sequence
	for range 20 {
		all = append(all, alice.Sends(room, "message"))
	}
	h, err := alice.History(t.Context(), room, client.Page{Around: all[10], Limit: 7})
	var got []chat.Sequence
	for _, m := range h.Messages {
		got = append(got, m.Sequence)
	}
	if err != nil || !slices.Equal(got, all[7:14]) || !h.More || h.Sequence < all[19] {
		t.Errorf("around are %v, more %t, at %s, %v; want %v", got, h.More, h.Sequence, err, all[7:14])
	}
	_, err = alice.History(t.Context(), room, client.Page{Around: all[3], Before: all[9]})
	wantKind(t, "around and before", err, chat.Invalid)
	_, err = alice.Message(t.Context(), room, all[19]+7)
	wantKind(t, "a message that is not there", err, chat.NotFound)
}
