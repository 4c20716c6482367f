package tests

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"knatter.dev/chat"
)

// bystanders are two people whom nothing that others do may disturb.
type bystanders struct {
	carol, dave *Person
	room        chat.RoomID
	n           int
}

func (s *Server) bystanders(t *testing.T) *bystanders {
	t.Helper()
	b := &bystanders{carol: s.someone(t, "carol"), dave: s.someone(t, "dave")}
	b.room = b.carol.Creates("Quiet corner")
	b.dave.Joins(b.room)
	b.dave.Follows(b.room)
	return b
}

// talk shows that they are not disturbed: same connections, no delay that counts.
func (b *bystanders) talk(t *testing.T) {
	t.Helper()
	b.n++
	text := fmt.Sprintf("undisturbed %d", b.n)
	begin := time.Now()
	b.carol.Sends(b.room, text)
	b.dave.Sees(text)
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("a message took %v", d)
	}
	for _, p := range []*Person{b.carol, b.dave} {
		if st := p.Conn().Stats(); st.Connects != 1 {
			t.Errorf("%s was disconnected", p.User.Nickname)
		}
	}
}

func TestGarbageFrames(t *testing.T) {
	t.Parallel()
	s := common(t)
	eve := s.someone(t, "eve")
	others := s.bystanders(t)
	event := func(members string) string {
		return `{"specversion":"1.0","id":"1","source":"/x","type":"dev.knatter.message.posted","subject":"r"` + members + `}`
	}
	closed := map[string]struct {
		kind  int
		frame string
		code  int
	}{
		"not JSON":                {websocket.TextMessage, "hello", 4400},
		"empty":                   {websocket.TextMessage, "", 4400},
		"an array":                {websocket.TextMessage, "[1,2,3]", 4400},
		"no event":                {websocket.TextMessage, "{}", 4400},
		"half an event":           {websocket.TextMessage, event("")[:40], 4400},
		"another spec version":    {websocket.TextMessage, strings.Replace(event(""), "1.0", "0.3", 1), 4400},
		"an object as attribute":  {websocket.TextMessage, event(`,"ext":{}`), 4400},
		"a number as data_base64": {websocket.TextMessage, event(`,"data_base64":7`), 4400},
		"no source":               {websocket.TextMessage, strings.Replace(event(""), "/x", "", 1), 4400},
		"binary":                  {websocket.BinaryMessage, event(""), 1003},
		"not UTF-8":               {websocket.TextMessage, event(",\"data\":{\"text\":\"\xff\xfe\"}"), 1007},
		"a lone surrogate":        {websocket.TextMessage, event(",\"data\":{\"text\":\"\xed\xa0\x80\"}"), 1007},
		"a megabyte":              {websocket.TextMessage, event(`,"data":{"text":"` + strings.Repeat("a", 1<<20) + `"}`), 1009},
		"a little too large":      {websocket.TextMessage, event(`,"data":{"text":"` + strings.Repeat("a", 64<<10) + `"}`), 1009},
		"session.open, no token":  {websocket.TextMessage, `{"specversion":"1.0","id":"1","source":"/x","type":"dev.knatter.session.open","data":7}`, 4400},
	}
	for name, test := range closed {
		t.Run(name, func(t *testing.T) {
			w := eve.Wire()
			w.t = t
			if err := w.ws.WriteMessage(test.kind, []byte(test.frame)); err != nil {
				t.Log("writing:", err) // closed in the middle of it
			}
			w.IsClosedWith(test.code)
			others.talk(t)
		})
	}

	w := eve.Wire()
	w.IsRefused(w.Sends("dev.knatter.nonsense", "room", nil), http.StatusUnprocessableEntity)
	w.IsRefused(w.Sends("com.example.other", "room", nil), http.StatusUnprocessableEntity)
	w.IsRefused(w.Sends(chat.MessagePosted, "", map[string]string{"text": "no room"}), http.StatusUnprocessableEntity)
	w.IsRefused(w.Sends(chat.MessagePosted, "../../etc", map[string]string{"text": "no room"}), http.StatusUnprocessableEntity)
	w.IsRefused(w.Sends(chat.MessagePosted, "room", 7), http.StatusUnprocessableEntity)
	w.IsRefused(w.Sends(chat.MessagePosted, "room", nil), http.StatusUnprocessableEntity)
	w.IsRefused(w.Sends(chat.RoomSubscribe, "", map[string]string{}), http.StatusUnprocessableEntity)
	w.IsRefused(w.Sends(chat.RoomSubscribe, "", map[string]any{"rooms": []any{map[string]string{"room": "r", "after": "7"}}}), http.StatusUnprocessableEntity)
	w.IsRefused(w.Sends(chat.RoomUnsubscribe, "", map[string]string{}), http.StatusUnprocessableEntity)
	w.IsAlive()
	others.talk(t)
}

// What is not even a WebSocket frame, and sockets that end anyhow.
func TestBrokenSockets(t *testing.T) {
	t.Parallel()
	s := common(t)
	eve := s.someone(t, "eve")
	others := s.bystanders(t)
	mask := []byte{1, 2, 3, 4}
	for what, junk := range map[string][]byte{
		"reserved bits, unknown opcode": {0xff, 0x80, 1, 2, 3, 4},
		"not masked":                    {0x81, 0x05, 'h', 'e', 'l', 'l', 'o'},
		"a ping that is too long":       {0x89, 0xfe, 0xff, 0xff, 1, 2, 3, 4},
		"compressed, not agreed on":     {0xc1, 0x85, 1, 2, 3, 4, 5, 6, 7, 8, 9},
		"four exabytes to come":         append(append(binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, 1<<62), mask...), make([]byte, 70<<10)...),
		"more than exabytes":            append(binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, 1<<63), mask...),
	} {
		w := eve.Wire()
		if _, err := w.netConn().Write(junk); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for {
			if _, err := w.next(); err != nil {
				if _, closed := errors.AsType[*websocket.CloseError](err); !closed {
					t.Errorf("%s: %v after %v", what, err, time.Since(begin))
				}
				break
			}
		}
	}
	half := eve.Wire()
	if _, err := half.netConn().Write([]byte{0x01, 0x85, 1, 2, 3, 4, 'h'}); err != nil { // a fragment, cut off
		t.Fatal(err)
	}
	_ = half.netConn().Close()
	c, err := net.Dial("tcp", s.address())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(bytes.Repeat([]byte("\x16\x03\x01junk\r\n"), 100)); err != nil {
		t.Log("writing:", err)
	}
	_ = c.Close()
	others.talk(t)
}

func TestFlood(t *testing.T) {
	t.Parallel()
	s := common(t)
	eve := s.someone(t, "eve")
	others := s.bystanders(t)
	room := eve.Creates("Flood")
	w := eve.Wire()
	w.Follows(room, "") // so that it is known at once who may send here
	var reading sync.WaitGroup
	var refused, acked int
	var end error
	reading.Go(func() {
		for {
			e, err := w.next()
			if err != nil {
				end = err
				return
			}
			switch e.Type {
			case chat.Ack:
				acked++
			case chat.Refused:
				var r refusal
				if err := e.Decode(&r); err != nil || r.Status != http.StatusTooManyRequests {
					t.Errorf("refused: %s", e.Data)
				}
				refused++
			}
		}
	})
	for i := range 20_000 {
		e := chat.Event{ID: fmt.Sprint("flood", i), Source: "/x", Type: chat.MessagePosted, Room: room, Data: []byte(`{"text":"flood"}`)}
		if w.ws.WriteMessage(websocket.TextMessage, e.AppendFrame(nil)) != nil {
			break
		}
	}
	others.talk(t)
	reading.Wait()
	if closed, ok := end.(*websocket.CloseError); !ok || closed.Code != 4429 {
		t.Errorf("the flood ended with %v, want 4429", end)
	}
	if acked == 0 || acked > 5000 || refused == 0 { // acks that were under way when it was closed are lost
		t.Errorf("%d acked, %d refused", acked, refused)
	}
	if n := len(eve.Reads(room)); n < acked || n > 5000 {
		t.Errorf("history has %d messages, %d were acked", n, acked)
	}
	others.talk(t)
	t.Logf("%d acked, %d refused", acked, refused)
}

// writeTimeout is how long the server waits for a peer that takes nothing at all.
const writeTimeout = 10 * time.Second

// A subscriber that takes nothing is closed, and nobody waits for it.
func TestSlowReader(t *testing.T) {
	s := own(t)
	alice, bob := s.two(t)
	others := s.bystanders(t)
	room := alice.Creates("Much")
	bob.Joins(room)
	// What the system keeps for a socket is bounded, so that the queue has to fill.
	d := websocket.Dialer{Subprotocols: []string{"cloudevents.json"}, NetDial: func(network, address string) (net.Conn, error) {
		c, err := net.Dial(network, address)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(256 << 10)
		}
		return c, err
	}}
	ws, _, err := d.Dial("ws"+strings.TrimPrefix(s.URL, "http")+"/v1/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.Close() }()
	w := newWire(t, ws)
	w.Opens(bob)
	w.Follows(room, "")
	w.Gets(chat.RoomSubscribed)

	attentive := bob.Connects(fastRetry)
	if err := attentive.Subscribe(t.Context(), room); err != nil {
		t.Fatal(err)
	}

	// Below the rate limit, above what the system's buffers and the queue hold.
	const senders, each = 3, 700
	const messages = senders * each
	var sending sync.WaitGroup
	text := strings.Repeat("🍜", 4000)
	begin := time.Now()
	for range senders {
		from := alice.Wire()
		sending.Go(func() {
			for range each {
				from.Says(room, text)
			}
			for acks := 0; acks < each; {
				e, err := from.next()
				if err != nil {
					t.Error(err)
					return
				}
				if e.Type == chat.Ack {
					acks++
				}
			}
		})
	}
	if got := watch(attentive, messages); len(got) != messages {
		t.Errorf("the attentive subscriber got %d events", len(got))
	}
	sending.Wait()
	others.talk(t)
	if took := time.Since(begin); took < writeTimeout {
		w.IsClosedWith(4408)
	} else { // on a slow machine its time is up before its queue is full: then it could not be told
		t.Logf("sending took %v", took.Round(time.Second))
		w.IsClosedWith(4408, websocket.CloseAbnormalClosure)
	}
	others.talk(t)

	// It comes back and has missed nothing.
	conn := bob.Connects(fastRetry)
	if err := conn.SubscribeAfter(t.Context(), room, 0); err != nil {
		t.Fatal(err)
	}
	if got := watch(conn, messages); len(got) < messages {
		t.Errorf("it missed some: %d events", len(got))
	}
}
