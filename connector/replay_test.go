package connector_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
)

// hoard fills a room with messages of 16 KB.
func (r *rig) hoard(room chat.RoomID, user chat.UserID, n int) {
	r.t.Helper()
	text := strings.Repeat("🍜", 4000)
	var all []*chat.Event
	for i := range n {
		e, err := chat.NewEvent(fmt.Sprint("hoard-", i), user, chat.MessagePosted, room, chat.Posted{Text: text})
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, &e)
	}
	if err := r.log.Append(r.t.Context(), all...); err != nil {
		r.t.Fatal(err)
	}
}

func TestReplayOfSeveralPages(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice")
	r.hoard("r", "alice", 200)
	alice := r.open("alice")
	alice.send(chat.RoomSubscribe, "", "s", `{"rooms":[{"room":"r","after":"0000000000000000"}]}`)
	var last chat.Sequence
	for i := range 200 {
		e := alice.until(chat.MessagePosted)
		if e.ID != fmt.Sprint("hoard-", i) || e.Sequence <= last {
			t.Fatalf("%s after %s, want hoard-%d", e.ID, last, i)
		}
		last = e.Sequence
	}
	if e := alice.next(chat.RoomSubscribed); !strings.Contains(string(e.Data), `"complete":true`) {
		t.Errorf("%s", e.Data)
	}
}

// Peers that ask for much and take nothing make others neither wait nor, as they did
// with all in memory at once, the process large.
func TestReplaysToSlowPeersHoldNobodyUp(t *testing.T) {
	r := newRig(t, connector.Config{WriteTimeout: time.Minute})
	r.room("large", "eve", "mallory")
	r.room("r", "bob")
	r.hoard("large", "eve", 500)
	for i := range 100 {
		user := chat.UserID("eve")
		if i%2 == 0 {
			user = "mallory"
		}
		d := websocket.Dialer{Subprotocols: []string{"cloudevents.json"}, NetDial: func(network, address string) (net.Conn, error) {
			c, err := net.Dial(network, address)
			if err == nil {
				err = c.(*net.TCPConn).SetReadBuffer(4 << 10)
			}
			return c, err
		}}
		conn, resp, err := d.Dial("ws://"+r.base+"/v1/socket", http.Header{"Authorization": {"Bearer " + r.token(user, time.Hour)}})
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		t.Cleanup(func() { _ = conn.Close() })
		s := &socket{t, conn}
		s.send(chat.RoomSubscribe, "", "s", `{"rooms":[{"room":"large","after":"0000000000000000"}]}`)
	}
	time.Sleep(time.Second) // until all who may hold pages do, which nothing shows
	bob := r.open("bob")
	bob.say("r", "hello")
	bob.until(chat.Ack)
	begin := time.Now()
	bob.send(chat.RoomSubscribe, "", "s", `{"rooms":[{"room":"r","after":"0000000000000000"}]}`)
	bob.hears("hello")
	bob.until(chat.RoomSubscribed)
	if took := time.Since(begin); took > 20*time.Second { // it was a minute, that of WriteTimeout
		t.Errorf("the resume took %v", took)
	}
}
