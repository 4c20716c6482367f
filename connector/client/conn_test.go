package client

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fasthttp/websocket"

	"knatter.dev/chat"
)

const lobby = chat.RoomID("lobby")

// logIn is a session on the server and a Conn of it.
func logIn(t *testing.T, s *server, c *Client, o Options) *Conn {
	t.Helper()
	session, err := c.LogIn(t.Context(), "alice@chat.test", "secret")
	if err != nil {
		t.Fatal(err)
	}
	o.Dial = s.dial
	conn, err := session.Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// read takes n events from the Conn and returns their ids.
func read(t *testing.T, c *Conn, n int) []string {
	t.Helper()
	var ids []string
	for range n {
		select {
		case e, ok := <-c.Events():
			if !ok {
				t.Fatalf("ended after %d of %d events: %v", len(ids), n, c.Err())
			}
			ids = append(ids, e.ID)
		case <-time.After(time.Hour):
			t.Fatalf("only %d of %d events came", len(ids), n)
		}
	}
	return ids
}

func nothingMore(t *testing.T, c *Conn) {
	t.Helper()
	synctest.Wait()
	select {
	case e := <-c.Events():
		t.Errorf("one more event: %s %s", e.Type, e.ID)
	default:
	}
}

func numbered(from, n int) []string {
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprint("m", from+i))
	}
	return ids
}

func (s *server) sayAll(ids []string) {
	for _, id := range ids {
		s.say(lobby, id)
	}
}

func TestSendIsRepeatedUnderOneIDUntilAcked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		conn := logIn(t, s, c, Options{})
		if err := conn.Subscribe(t.Context(), lobby); err != nil {
			t.Fatal(err)
		}
		s.set(func() { s.mute = true })
		acked := make(chan chat.Sequence)
		go func() {
			sequence, err := conn.Send(t.Context(), lobby, "hello")
			if err != nil {
				t.Error(err)
			}
			acked <- sequence
		}()
		for range 3 { // lost before the ack, three times
			synctest.Wait()
			s.cut()
			time.Sleep(time.Minute)
		}
		s.set(func() { s.mute = false })
		s.cut()
		if got := <-acked; got != 5 {
			t.Errorf("acked as %d, want 5", got)
		}
		sent := s.got(chat.MessagePosted)
		for _, e := range sent {
			if e.ID != sent[0].ID {
				t.Error("sent again under another id")
			}
		}
		if len(sent) != 5 {
			t.Errorf("sent %d times, want 5", len(sent))
		}
		read(t, conn, 1)
		nothingMore(t, conn) // the copies in the log are told apart by their id
	})
}

func TestCloseCodes(t *testing.T) {
	tests := []struct {
		code int
		ends chat.Kind // Internal: it reconnects
		soon bool
	}{
		{websocket.CloseGoingAway, chat.Internal, true},
		{websocket.CloseAbnormalClosure, chat.Internal, false},
		{websocket.CloseInternalServerErr, chat.Internal, false},
		{4408, chat.Internal, false},
		{4429, chat.Internal, false},
		{4401, chat.Internal, false}, // with another token
		{websocket.CloseUnsupportedData, chat.Malformed, false},
		{websocket.CloseInvalidFramePayloadData, chat.Malformed, false},
		{websocket.CloseMessageTooBig, chat.TooLarge, false},
		{4400, chat.Malformed, false},
		{4403, chat.Forbidden, false},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := newServer(t)
				conn := logIn(t, s, c, Options{})
				synctest.Wait()
				start := time.Now()
				if test.code == websocket.CloseAbnormalClosure {
					s.cut()
				} else {
					s.closeAll(test.code)
				}
				if test.ends != chat.Internal {
					for range conn.Events() {
						t.Error("an event after the end")
					}
					if got := chat.KindOf(conn.Err()); got != test.ends {
						t.Errorf("ended with %v: %v", got, conn.Err())
					}
					if _, err := conn.Send(t.Context(), lobby, "hi"); chat.KindOf(err) != test.ends {
						t.Errorf("sending after the end: %v", err)
					}
					return
				}
				if _, err := conn.Send(t.Context(), lobby, "hi"); err != nil {
					t.Fatal(err)
				}
				if pause := time.Since(start); test.soon != (pause == 0) || pause > time.Second {
					t.Errorf("reconnected after %v", pause)
				}
				if opens := s.got(chat.SessionOpen); (string(opens[0].Data) != string(opens[1].Data)) != (test.code == 4401) {
					t.Errorf("tokens: %s, then %s", opens[0].Data, opens[1].Data)
				}
			})
		})
	}
}

func TestLoggedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		conn := logIn(t, s, c, Options{})
		s.set(func() { s.revoked = true })
		s.closeAll(4401)
		for range conn.Events() {
			t.Error("an event after the end")
		}
		if chat.KindOf(conn.Err()) != chat.Unauthenticated {
			t.Error(conn.Err())
		}
	})
}

func TestBackOffGrowsIsJitteredAndCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		logIn(t, s, c, Options{MaxBackoff: 4 * time.Second})
		synctest.Wait()
		s.set(func() { s.down = true; s.dials = nil })
		last := time.Now()
		s.cut()
		time.Sleep(time.Minute)
		s.mu.Lock()
		dials := slices.Clone(s.dials)
		s.mu.Unlock()
		want := firstPause
		if len(dials) < 15 {
			t.Fatalf("%d attempts in a minute", len(dials))
		}
		for i, at := range dials {
			if pause := at.Sub(last); pause < want/2 || pause > want {
				t.Errorf("pause %d is %v, want %v to %v", i, pause, want/2, want)
			}
			last, want = at, min(2*want, 4*time.Second)
		}
	})
}

func TestOneThatIsClosedAgainAndAgainBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		s.onSocket = func(k *socket) { k.close(websocket.CloseGoingAway) } // "reconnect at once"
		conn := logIn(t, s, c, Options{})
		time.Sleep(time.Minute)
		if n := conn.Stats().Connects; n < 5 || n > 20 {
			t.Errorf("%d connections in a minute", n)
		}
	})
}

func TestTokenIsRenewedBeforeItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		conn := logIn(t, s, c, Options{})
		time.Sleep(15*time.Minute - 30*time.Second)
		synctest.Wait()
		if opens := s.got(chat.SessionOpen); len(opens) != 2 || string(opens[1].Data) != `{"token":"token-1"}` {
			t.Errorf("session.open frames: %v", opens)
		}
		time.Sleep(time.Hour)
		if n := len(s.got(chat.SessionOpen)); n != 6 {
			t.Errorf("%d session.open frames after 75 minutes, want 6", n)
		}
		if n := conn.Stats().Connects; n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	})
}

func TestSilentServerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		s.heartbeat = 25
		conn := logIn(t, s, c, Options{})
		time.Sleep(54 * time.Second)
		if n := conn.Stats().Connects; n != 1 {
			t.Errorf("left too early")
		}
		s.drop(func(k *socket) {
			if err := k.ws.WriteControl(websocket.PingMessage, []byte("x"), time.Now().Add(time.Second)); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(54 * time.Second)
		if n := conn.Stats().Connects; n != 1 {
			t.Errorf("left although it was pinged")
		}
		time.Sleep(3 * time.Second)
		if n := conn.Stats().Connects; n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
	})
}

func TestResumesWithoutGapOrRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		s.say(lobby, "before")
		conn := logIn(t, s, c, Options{TokenInHeader: true})
		if err := conn.Subscribe(t.Context(), lobby); err != nil {
			t.Fatal(err)
		}
		want := numbered(0, 60)
		for i := range 20 {
			s.sayAll(want[3*i : 3*i+1])
			s.cut()
			s.sayAll(want[3*i+1 : 3*i+2]) // while nobody is connected
			time.Sleep(time.Second)
			s.sayAll(want[3*i+2 : 3*i+3])
		}
		if got := read(t, conn, 60); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		nothingMore(t, conn)
		if st := conn.Stats(); st.Connects != 21 || st.Repeated != 0 || st.Paged != 0 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestPagesWhatTheServerDoesNotRepeat(t *testing.T) {
	for _, replayed := range []int{0, 10} {
		synctest.Test(t, func(t *testing.T) {
			s, c := newServer(t)
			s.replay = replayed
			want := numbered(0, 1000)
			s.sayAll(want[:950])
			conn := logIn(t, s, c, Options{})
			if err := conn.SubscribeAfter(t.Context(), lobby, 0); err != nil {
				t.Fatal(err)
			}
			s.sayAll(want[950:]) // live, while the missed ones are read
			if got := read(t, conn, 1000); !slices.Equal(got, want) {
				t.Errorf("replay %d: not the same events in the same order", replayed)
			}
			nothingMore(t, conn)
		})
	}
}

// A server that has lost what was seen of a room says so; then all is new.
func TestServerThatHasLostWhatWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		s.replay = 10
		want := numbered(0, 300)
		s.sayAll(want[:250])
		conn := logIn(t, s, c, Options{})
		if err := conn.SubscribeAfter(t.Context(), lobby, 1_000_000); err != nil {
			t.Fatal(err)
		}
		s.sayAll(want[250:])
		if got := read(t, conn, 300); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		nothingMore(t, conn)
	})
}

func TestSlowReaderLosesNothingAndDelaysNoAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		conn := logIn(t, s, c, Options{Buffer: 4})
		if err := conn.Subscribe(t.Context(), lobby); err != nil {
			t.Fatal(err)
		}
		want := numbered(0, 700)
		s.sayAll(want[:500])
		if _, err := conn.Send(t.Context(), "elsewhere", "nobody reads the events"); err != nil {
			t.Fatal(err)
		}
		got := read(t, conn, 100)
		s.sayAll(want[500:])
		got = append(got, read(t, conn, 600)...)
		if !slices.Equal(got, want) {
			t.Error("not the same events in the same order")
		}
		nothingMore(t, conn)
		s.say(lobby, "live again")
		if got := read(t, conn, 1); got[0] != "live again" {
			t.Errorf("then %v", got)
		}
		if st := conn.Stats(); st.Connects != 1 || st.Repeated != 0 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestSubscribeAfterGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		s.sayAll(numbered(0, 5))
		conn := logIn(t, s, c, Options{})
		for range 2 {
			if err := conn.SubscribeAfter(t.Context(), lobby, 2); err != nil {
				t.Fatal(err)
			}
			if got := read(t, conn, 3); !slices.Equal(got, numbered(2, 3)) {
				t.Errorf("got %v", got)
			}
			nothingMore(t, conn)
		}
	})
}

func TestResentEventIsPassedOnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		conn := logIn(t, s, c, Options{})
		if err := conn.Subscribe(t.Context(), lobby); err != nil {
			t.Fatal(err)
		}
		s.sayAll([]string{"a", "b", "a", "c"})
		if got := read(t, conn, 3); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("got %v", got)
		}
		nothingMore(t, conn)
	})
}

func TestSubscriptionThatTheServerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		conn := logIn(t, s, c, Options{})
		s.members = func(room chat.RoomID) int {
			if room == lobby {
				return 0
			}
			return http.StatusForbidden
		}
		if err := conn.Subscribe(t.Context(), "secret"); chat.KindOf(err) != chat.Forbidden {
			t.Errorf("subscribed to a foreign room: %v", err)
		}
		if err := conn.Subscribe(t.Context(), lobby); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.members = func(chat.RoomID) int { return http.StatusForbidden }
		s.cut()
		if e := <-conn.Events(); e.Type != chat.RoomUnsubscribed || e.Room != lobby {
			t.Errorf("got %s of %s", e.Type, e.Room)
		}
		s.cut()
		time.Sleep(time.Second)
		if n := len(s.got(chat.RoomSubscribe)); n != 3 {
			t.Errorf("%d room.subscribe frames, want 3", n)
		}
	})
}

func TestWhatTheServerCannotDoNowIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		conn := logIn(t, s, c, Options{})
		s.set(func() {
			s.refuse[chat.RoomSubscribe] = http.StatusTooManyRequests
			s.refuse[chat.MessagePosted] = http.StatusServiceUnavailable
		})
		if err := conn.Subscribe(t.Context(), lobby); err != nil {
			t.Error(err)
		}
		if _, err := conn.Send(t.Context(), lobby, "hi"); err != nil {
			t.Error(err)
		}
		s.set(func() { s.refuse[chat.MessagePosted] = http.StatusUnprocessableEntity })
		if _, err := conn.Send(t.Context(), lobby, ""); chat.KindOf(err) != chat.Invalid || err.Error() != "refused" {
			t.Errorf("got %v", err)
		}
		if _, err := conn.Send(t.Context(), lobby, string(make([]byte, 70_000))); chat.KindOf(err) != chat.TooLarge {
			t.Errorf("got %v", err)
		}
	})
}

func TestSendEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		conn := logIn(t, s, c, Options{})
		s.set(func() { s.mute = true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := conn.Send(ctx, lobby, "hi"); err != context.DeadlineExceeded {
			t.Error(err)
		}
		s.cut()
		time.Sleep(time.Second)
		if n := len(s.got(chat.MessagePosted)); n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
}

func TestFirstConnectionFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		for status, kind := range map[int]chat.Kind{401: chat.Unauthenticated, 403: chat.Forbidden, 503: chat.Unavailable} {
			s.set(func() { s.handshake = status })
			_, err := c.Dial(t.Context(), Static("token"), Options{Dial: s.dial})
			if chat.KindOf(err) != kind {
				t.Errorf("%d: %v", status, err)
			}
		}
		s.set(func() { s.down = true })
		if _, err := c.Dial(t.Context(), Static("token"), Options{Dial: s.dial}); chat.KindOf(err) != chat.Unavailable {
			t.Error(err)
		}
		if _, err := New("chat.test").Dial(t.Context(), Static("token"), Options{}); chat.KindOf(err) != chat.Invalid {
			t.Error(err)
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newServer(t)
		conn := logIn(t, s, c, Options{Buffer: 1})
		if err := conn.Subscribe(t.Context(), lobby); err != nil {
			t.Fatal(err)
		}
		s.sayAll(numbered(0, 50)) // the filler waits for a reader
		s.set(func() { s.mute = true })
		failed := make(chan error)
		go func() { _, err := conn.Send(t.Context(), lobby, "hi"); failed <- err }()
		synctest.Wait()
		_ = conn.Close()
		if err := <-failed; chat.KindOf(err) != chat.Unavailable {
			t.Error(err)
		}
		if _, err := conn.Send(t.Context(), lobby, "hi"); chat.KindOf(err) != chat.Unavailable {
			t.Error(err)
		}
		if err := conn.Err(); err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	})
}
