package mongo

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/mongo/mongotest"
)

// lossy dials connections that can lose a reply: the server has done what it was
// asked to, and the client is not told.
type lossy struct {
	net.Dialer
	lose atomic.Pointer[string] // the command whose next reply is lost
}

func (l *lossy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := l.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: c, l: l}, nil
}

type lossyConn struct {
	net.Conn
	l    *lossy
	lost bool
}

func (c *lossyConn) Write(p []byte) (int, error) {
	if name := c.l.lose.Load(); name != nil && len(p) > 26 && bytes.HasPrefix(p[26:], append([]byte(*name), 0)) {
		c.lost = c.l.lose.CompareAndSwap(name, nil)
	}
	return c.Conn.Write(p)
}

func (c *lossyConn) Read(p []byte) (int, error) {
	if !c.lost {
		return c.Conn.Read(p)
	}
	var size [4]byte
	if _, err := io.ReadFull(c.Conn, size[:]); err != nil {
		return 0, err
	}
	if _, err := io.CopyN(io.Discard, c.Conn, int64(binary.LittleEndian.Uint32(size[:]))-4); err != nil {
		return 0, err
	}
	c.Close()
	return 0, syscall.ECONNRESET
}

// A call whose reply is lost is done, once, and says so.
func TestLostReplies(t *testing.T) {
	opts, database, err := parse(mongotest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	dialer := new(lossy)
	s, err := open(t.Context(), opts.SetDialer(dialer), database)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	losing := func(t *testing.T, command string, call func() error) error {
		t.Helper()
		dialer.lose.Store(&command)
		err := call()
		if dialer.lose.Swap(nil) != nil {
			t.Errorf("there was no %s", command)
		}
		return err
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	t.Run("account", func(t *testing.T) {
		alice := chat.Account{ID: "alice", Email: "alice@example.com", PasswordHash: "hash", Created: chat.Now()}
		must(t, losing(t, "insert", func() error { return s.Accounts().Create(ctx, alice) }))
		must(t, losing(t, "update", func() error { return s.Accounts().SetNickname(ctx, "alice", "앨리스") }))
		must(t, losing(t, "insert", func() error { return s.Accounts().Befriend(ctx, "alice", "bob") }))
		must(t, losing(t, "insert", func() error { return s.Accounts().Befriend(ctx, "alice", "carol") }))
		must(t, losing(t, "delete", func() error { return s.Accounts().Unfriend(ctx, "alice", "carol") }))
		got, err := s.Accounts().ByEmail(ctx, alice.Email)
		must(t, err)
		friends, err := s.Accounts().Friends(ctx, "alice")
		must(t, err)
		alice.Nickname = "앨리스"
		if got != alice || fmt.Sprint(friends) != "[bob]" {
			t.Errorf("got %+v with %v", got, friends)
		}
		for _, other := range []chat.Account{
			{ID: "alice", Email: "other@example.com"}, {ID: "other", Email: alice.Email},
			{ID: "alice", Email: alice.Email, PasswordHash: "another"},
		} {
			if err := losing(t, "insert", func() error { return s.Accounts().Create(ctx, other) }); chat.KindOf(err) != chat.Conflict {
				t.Errorf("%+v: got %v, want a conflict", other, err)
			}
		}
	})

	t.Run("session", func(t *testing.T) {
		in := func(d time.Duration) time.Time { return chat.Now().Add(d) }
		login := chat.Session{ID: "s", User: "alice", Refresh: "0", Created: chat.Now(), Expires: in(time.Hour)}
		must(t, losing(t, "insert", func() error { return s.Sessions().Open(ctx, login) }))
		if err := losing(t, "insert", func() error { return s.Sessions().Open(ctx, chat.Session{ID: "s", User: "bob"}) }); chat.KindOf(err) != chat.Conflict {
			t.Errorf("got %v, want a conflict", err)
		}
		login.Refresh, login.Rotated, login.Expires = "1", chat.Now(), in(2*time.Hour)
		must(t, losing(t, "findAndModify", func() error {
			got, err := s.Sessions().Rotate(ctx, "s", "0", "1", login.Rotated, login.Expires)
			if err == nil && got != login {
				t.Errorf("got %+v, want %+v", got, login)
			}
			return err
		}))
		_, err := s.Sessions().Rotate(ctx, "s", "0", "1", in(chat.RefreshGrace), in(time.Hour))
		if chat.KindOf(err) != chat.Forbidden {
			t.Errorf("a used hash: %v", err)
		}
		must(t, s.Sessions().Open(ctx, chat.Session{ID: "reused", Refresh: "1", Expires: in(time.Hour)}))
		second := func() error { _, err := s.Sessions().Rotate(ctx, "reused", "0", "2", in(0), in(time.Hour)); return err }
		if err := losing(t, "findAndModify", second); chat.KindOf(err) != chat.Forbidden {
			t.Errorf("a used hash: %v", err)
		}
		must(t, s.Sessions().Open(ctx, chat.Session{ID: "r", Refresh: "0", Expires: in(time.Hour)}))
		must(t, losing(t, "update", func() error { return s.Sessions().Revoke(ctx, "r") }))
		if got, err := s.Sessions().Session(ctx, "r"); err != nil || !got.Revoked {
			t.Errorf("got %+v, %v", got, err)
		}
	})

	t.Run("attempt", func(t *testing.T) {
		var n int
		err := losing(t, "findAndModify", func() (err error) { n, err = s.Attempts().Attempt(ctx, "k", time.Minute, chat.Now()); return err })
		if n != 1 && chat.KindOf(err) != chat.Unavailable { // a server that keeps account of writes has them tried again
			t.Errorf("got %d, %v", n, err)
		}
	})

	t.Run("projections", func(t *testing.T) {
		first, repeat := message(t, "room", "id", 5), message(t, "room", "id", 9)
		must(t, losing(t, "insert", func() error { return s.Events().Put(ctx, []chat.Event{repeat}) }))
		must(t, losing(t, "update", func() error { return s.Events().Put(ctx, []chat.Event{first}) }))
		must(t, losing(t, "insert", func() error { return s.Index().Put(ctx, []chat.Document{documentOf(repeat, "term")}) }))
		must(t, losing(t, "update", func() error { return s.Index().Put(ctx, []chat.Document{documentOf(first, "term")}) }))
		joined := logged(t, chat.MemberJoined, "room", "a", 6, chat.MemberData{User: "alice", Nickname: "a", Role: chat.Plain})
		renamed := logged(t, chat.MemberUpdated, "room", "b", 7, chat.MemberData{User: "alice", Nickname: "b", Role: chat.Plain})
		must(t, losing(t, "insert", func() error { return s.Rooms().Apply(ctx, []chat.Event{joined}) }))
		must(t, losing(t, "update", func() error { return s.Rooms().Apply(ctx, []chat.Event{renamed}) }))
		read := logged(t, chat.ReadAdvanced, "room", "c", 8, chat.ReadData{UpTo: 7})
		must(t, losing(t, "update", func() error { return s.Rooms().Apply(ctx, []chat.Event{read}) }))
		must(t, losing(t, "insert", func() error {
			return s.Routes().Apply(ctx, []chat.RouteChange{{Stream: "room", Connector: 1, Open: true, Sequence: 1}})
		}))
		must(t, losing(t, "update", func() error {
			return s.Routes().Apply(ctx, []chat.RouteChange{{Stream: "room", Connector: 1, Sequence: 2}})
		}))

		events, _, err := s.Events().Events(ctx, "room", chat.Range{Limit: 10})
		must(t, err)
		if len(events) != 1 || events[0].Sequence != 5 {
			t.Errorf("events: %+v", events)
		}
		hits, _, err := s.Index().Search(ctx, chat.Query{Rooms: []chat.RoomID{"room"}, Words: []chat.Word{{Any: [][]string{{"term"}}}}, Limit: 10})
		must(t, err)
		if len(hits) != 1 || hits[0].Sequence != 5 {
			t.Errorf("hits: %+v", hits)
		}
		member, err := s.Rooms().Membership(ctx, "room", "alice")
		must(t, err)
		if want := (chat.Membership{Room: "room", User: "alice", Nickname: "b", Role: chat.Plain, Active: true, Since: 6, Sequence: 7, Read: 7}); member != want {
			t.Errorf("member: %+v, want %+v", member, want)
		}
		routes, err := s.Routes().Connectors(ctx, []chat.StreamID{"room"})
		must(t, err)
		if len(routes) != 0 {
			t.Errorf("routes: %v", routes)
		}
	})
}

// logged is an event of alice's as the log hands it to a store.
func logged(t testing.TB, typ chat.Type, room chat.RoomID, id string, seq chat.Sequence, data any) chat.Event {
	t.Helper()
	e, err := chat.NewEvent(id, "alice", typ, room, data)
	if err != nil {
		t.Fatal(err)
	}
	e.Sequence = seq
	return e
}

func message(t testing.TB, room chat.RoomID, id string, seq chat.Sequence) chat.Event {
	t.Helper()
	return logged(t, chat.MessagePosted, room, id, seq, chat.Posted{Text: "안녕 " + id})
}

func documentOf(e chat.Event, terms ...string) chat.Document {
	return chat.Document{Room: e.Stream.Room(), Sequence: e.Sequence, Source: e.Source, ID: e.ID, Time: e.Time, Terms: terms}
}
