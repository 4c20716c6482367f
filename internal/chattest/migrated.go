package chattest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

var migratedAt = time.Date(2026, 5, 1, 12, 0, 1, 0, time.UTC)

// MigratedRooms checks a [chat.RoomStore] that has been brought up to date from the
// layout which knew neither stays nor removals. The adapters' testdata has what that
// version wrote of one log, row by row: in the room "books" people joined, were
// removed (one changed her nickname after that), left and came back, and read, one of
// them beyond all that is there; the room "lost" was left by both of its owners.
func MigratedRooms(t *testing.T, s chat.RoomStore) {
	t.Helper()
	in := func(user chat.UserID, nickname string, role chat.Role, since, sequence, read chat.Sequence) chat.Membership {
		return chat.Membership{User: user, Nickname: nickname, Role: role, Active: true, Since: since, Sequence: sequence, Read: read}
	}
	out := func(user chat.UserID, nickname string, role chat.Role, removed bool, sequence chat.Sequence) chat.Membership {
		return chat.Membership{User: user, Nickname: nickname, Role: role, Removed: removed, Sequence: sequence}
	}
	for room, want := range map[chat.RoomID][]chat.Membership{
		"books": {
			in("alice", "Alice", chat.Owner, 2, 2, 20),
			in("bob", "bob", chat.Moderator, 3, 8, 9),
			out("carol", "carol", chat.Plain, true, 10),
			out("dave", "dave", chat.Plain, false, 11),
			out("erin", "Erin the removed", chat.Plain, true, 13),
			in("frank", "frank", chat.Plain, 19, 19, 0),
		},
		"lost": {
			in("alice", "Alice", chat.Plain, 24, 24, 0),
			out("bob", "bob", chat.Owner, false, 26),
			out("gina", "Gina", chat.Owner, false, 25),
		},
	} {
		for i := range want {
			want[i].Room = room
		}
		got, err := s.Members(t.Context(), room)
		must(t, err)
		wantEqual(t, string(room), got, want)
	}
	owned, err := s.Owned(t.Context(), []chat.RoomID{"books", "lost"})
	must(t, err)
	wantEqual(t, "rooms with an owner", owned, map[chat.RoomID]bool{"books": true})
	mine, err := s.RoomsOf(t.Context(), "alice")
	must(t, err)
	if len(mine) != 2 {
		t.Errorf("alice's rooms: %+v", mine)
	}
	books, err := s.Room(t.Context(), "books")
	must(t, err)
	wantEqual(t, "books", books, chat.Room{ID: "books", Name: "책", Kind: chat.Group, Created: migratedAt, Sequence: 20})

	// The old log may be replayed over it, a removal that came before too.
	must(t, s.Apply(t.Context(), []chat.Event{
		member(chat.MemberRemoved, "books", "erin", "erin", chat.Plain, 12),
		member(chat.MemberJoined, "books", "erin", "erin", chat.Plain, 6),
		logged(chat.ReadAdvanced, "books", "alice", "r", 15, chat.ReadData{UpTo: 1<<53 - 1}),
	}))
	erin, err := s.Membership(t.Context(), "books", "erin")
	must(t, err)
	if erin.Active || !erin.Removed || erin.Nickname != "Erin the removed" {
		t.Errorf("erin after a replay: %+v", erin)
	}
}

// migratedLog is the log of which the adapters' testdata has what a version wrote that
// knew nothing of the lives of messages: alice's message 4 mentions bob and herself, bob's
// message 7 alice and himself.
func migratedLog() (log []chat.Event) {
	put := func(typ chat.Type, user chat.UserID, data any) {
		seq := chat.Sequence(len(log) + 1)
		e := logged(typ, "books", user, fmt.Sprint(int(seq)), seq, data)
		e.Time = migratedAt.Add(time.Duration(seq-2) * time.Second)
		log = append(log, e)
	}
	put(chat.RoomCreated, "alice", json.RawMessage(`{"name":"책","kind":"group"}`))
	put(chat.MemberJoined, "alice", chat.MemberData{User: "bob", Nickname: "bob", Role: chat.Plain})
	put(chat.MessagePosted, "alice", chat.Posted{Text: "hello"})
	put(chat.MessagePosted, "alice", chat.Posted{Text: "to bob", ReplyTo: 3, Mentions: []chat.UserID{"bob", "alice"}})
	put(chat.MessagePosted, "bob", chat.Posted{Text: `a "mentions" of nobody`})
	put(chat.ReadAdvanced, "alice", chat.ReadData{UpTo: 5})
	put(chat.MessagePosted, "bob", chat.Posted{Text: "to both", Mentions: []chat.UserID{"alice", "bob"}})
	return log
}

// MigratedEvents checks a [projection.Events] that had what was written before there were
// lives of messages: it shows the same, and knows whom messages mention.
func MigratedEvents(t *testing.T, s projection.Events) {
	t.Helper()
	log := migratedLog()
	wantPage(t, s, "books", log, chat.Range{Limit: 100})
	m := wantLives(t, s, "books", log)
	for _, user := range []chat.UserID{"alice", "bob", "carol"} {
		m.wantCounts(t, s, "books", user, log, chat.Range{Limit: 100})
	}
	if n, err := s.Mentions(t.Context(), "books", "alice", chat.Range{Limit: 100}); err != nil || n != 1 {
		t.Errorf("%d mentions of alice, %v", n, err)
	}
}

// MigratedLives lets the messages of [MigratedEvents] live on, and puts them again.
func MigratedLives(t *testing.T, s projection.Events) {
	t.Helper()
	log := append(migratedLog(),
		logged(chat.MessageDeleted, "books", "alice", "8", 8, chat.About{Message: 4}),
		logged(chat.MessageEdited, "books", "bob", "9", 9, chat.Edited{About: chat.About{Message: 7}, Text: "to all", Mentions: []chat.UserID{chat.Everyone}}),
		logged(chat.ReactionAdded, "books", "alice", "10", 10, chat.Reaction{About: chat.About{Message: 3}, Emoji: "👍"}))
	for range 2 {
		must(t, s.Put(t.Context(), log))
		m := wantLives(t, s, "books", log)
		wantPage(t, s, "books", m.stored(t, log), chat.Range{Limit: 100})
		for _, user := range []chat.UserID{"alice", "bob", "carol"} {
			m.wantCounts(t, s, "books", user, log, chat.Range{Limit: 100})
		}
	}
}

// AccountsToMigrate are accounts under what addresses were compared by before their
// spellings were one: of these alice, bob and carol have one in three spellings.
func AccountsToMigrate() map[string]chat.Account {
	old := make(map[string]chat.Account)
	for key, a := range map[string]chat.Account{
		"al\u200bice@example.com":    {ID: "alice", Email: "Al\u200bice@example.com"},
		"alice@example.com":          {ID: "bob", Email: "alice@Example.com"},
		"ａｌｉｃｅ@example.com":          {ID: "carol", Email: "ａｌｉｃｅ@example.com"},
		"dave@xn--bcher-kva.example": {ID: "dave", Email: "dave@xn--bcher-kva.example"},
		"er\u00adin@example.com":     {ID: "erin", Email: "Er\u00adin@example.com"},
		"er\u200din@example.com":     {ID: "eric", Email: "er\u200din@example.com"},
		"frank@example.com":          {ID: "frank", Email: "Frank@example.com"},
		"gina@xn--a":                 {ID: "gina", Email: "Gina@xn--a"},
		"hal\u2800@σίσυφοσ.example":  {ID: "hal", Email: "hal\u2800@Σίσυφος.example"},
		"\u200b@example.com":         {ID: "ida", Email: "\u200b@example.com"},
	} {
		a.Nickname, a.PasswordHash, a.Created = string(a.ID), "hash", migratedAt
		old[key] = a
	}
	return old
}

// MigratedAccounts checks a [chat.AccountStore] that had the accounts of
// [AccountsToMigrate]: all are found under what they signed up with, and under its
// other spellings unless another account is.
func MigratedAccounts(t *testing.T, s chat.AccountStore) {
	t.Helper()
	accounts := make(map[chat.UserID]chat.Account)
	for _, a := range AccountsToMigrate() {
		accounts[a.ID] = a
	}
	for email, want := range map[string]chat.UserID{
		"al\u200bice@example.com": "alice", "AL\u200bICE@example.com": "alice", "alice@example.com": "bob", "ALICE@EXAMPLE.COM": "bob",
		"al\u00adice@example.com": "bob", "ａｌｉｃｅ@example.com": "carol", "ＡＬＩＣＥ@Example.com": "carol",
		"dave@xn--bcher-kva.example": "dave", "dave@bücher.example": "dave", "DAVE@BÜCHER.example": "dave",
		"er\u00adin@example.com": "erin", "er\u200din@example.com": "eric",
		"Frank@example.com": "frank", "fr\u200bank@example.com": "frank", "gina@XN--A": "gina",
		"hal\u2800@Σίσυφος.example": "hal", "\u200b@example.com": "ida",
	} {
		got, err := s.ByEmail(t.Context(), email)
		must(t, err)
		wantEqual(t, fmt.Sprintf("%q", email), got, accounts[want])
		wantKind(t, s.Create(t.Context(), chat.Account{ID: "new", Email: email}), chat.Conflict)
	}
	erin, err := s.ByEmail(t.Context(), "erin@example.com")
	must(t, err)
	if erin.ID != "erin" && erin.ID != "eric" {
		t.Errorf("erin@example.com is %s", erin.ID)
	}
}
