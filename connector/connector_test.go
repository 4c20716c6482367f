package connector_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
)

const everything = "0000000000000000"

func subscribe(room chat.RoomID, after string) string {
	if after == "" {
		return fmt.Sprintf(`{"rooms":[{"room":%q}]}`, room)
	}
	return fmt.Sprintf(`{"rooms":[{"room":%q,"after":%q}]}`, room, after)
}

func TestTwoPeopleChat(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice", "bob")
	alice, bob := r.open("alice"), r.open("bob")
	alice.send(chat.RoomSubscribe, "", "s", subscribe("r", ""))
	alice.next(chat.RoomSubscribed)
	bob.send(chat.RoomSubscribe, "", "s", `{"all":true}`)
	bob.next(chat.RoomSubscribed)

	alice.say("r", "hi")
	e := bob.hears("hi")
	if e.Source != "/users/alice" || e.Stream != "r" || e.Sequence == 0 || e.Time.IsZero() {
		t.Errorf("delivered %+v", e)
	}
	if own := alice.hears("hi"); own.Sequence != e.Sequence {
		t.Errorf("the sender sees sequence %s, the receiver %s", own.Sequence, e.Sequence)
	}
}

// While a room is busy, people come back again and again with where they were:
// every one sees every event once and in order.
func TestResumeIsExact(t *testing.T) {
	r := newRig(t, connector.Config{FramesPerSecond: 100_000, Burst: 100_000})
	r.room("r", "alice", "bob")
	const n = 2000
	go func() {
		alice := r.open("alice")
		for i := range n {
			alice.say("r", fmt.Sprint(i))
			if i%20 == 19 { // so that the other one resumes in the midst of it
				alice.until(chat.Ack)
			}
		}
		for range n - n/20 {
			alice.until(chat.Ack)
		}
	}()
	after, last := everything, chat.Sequence(0)
	for heard := 0; heard < n; {
		bob := r.open("bob")
		bob.send(chat.RoomSubscribe, "", "s", subscribe("r", after))
		border := chat.Sequence(0)
		for stay := 0; heard < n && stay < 150; stay++ {
			e, err := bob.read()
			if err != nil {
				t.Fatal(err)
			}
			switch e.Type {
			case chat.RoomSubscribed:
				var data struct {
					Sequence chat.Sequence
					Complete bool
				}
				if err := e.Decode(&data); err != nil {
					t.Fatal(err)
				}
				if border = data.Sequence; !data.Complete {
					t.Fatal("more than 1,000 were missed: make the test's visits longer")
				}
				continue
			case chat.MessagePosted:
				if want := fmt.Sprint(heard); e.ID != want {
					t.Fatalf("message %s came in place of %s", e.ID, want)
				}
				heard++
			}
			if e.Sequence <= last {
				t.Fatalf("sequence %s after %s", e.Sequence, last)
			}
			if border != 0 && e.Sequence <= border {
				t.Fatalf("live event %s is not behind the border %s", e.Sequence, border)
			}
			last = e.Sequence
			after = last.String()
		}
		_ = bob.conn.Close()
	}
}

func TestMoreThanTheReplayIsLeftToPaging(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice")
	for i := range 1100 {
		e, err := chat.NewEvent(fmt.Sprint(i), "alice", chat.MessagePosted, "r", chat.Posted{Text: "x"})
		if err != nil {
			t.Fatal(err)
		}
		r.append(&e)
	}
	alice := r.open("alice")
	alice.send(chat.RoomSubscribe, "", "s", subscribe("r", everything))
	replayed := 0
	for {
		e, err := alice.read()
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == chat.RoomSubscribed {
			if !strings.Contains(string(e.Data), `"complete":false`) {
				t.Errorf("answered %s", e.Data)
			}
			break
		}
		replayed++
	}
	if replayed != 1000 {
		t.Errorf("replayed %d", replayed)
	}
}

// What a client says that it has seen can be ahead of what was delivered, never of
// the log: then the log has lost it.
func TestResumeBeyondTheLog(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice")
	alice := r.open("alice")
	for step, c := range []struct {
		after    func() chat.Sequence
		complete bool
	}{
		{func() chat.Sequence { return 1 << 20 }, false}, // the route is opened
		{func() chat.Sequence { return 1<<53 - 1 }, false},
		{func() chat.Sequence { // acknowledged just now, and maybe not delivered
			e, err := chat.NewEvent("latest", "alice", chat.MessagePosted, "r", chat.Posted{Text: "x"})
			if err != nil {
				t.Fatal(err)
			}
			r.append(&e)
			return e.Sequence
		}, true},
		{func() chat.Sequence { end, err := r.log.End(t.Context(), "r"); must(t, err); return end - 1 }, true},
		{func() chat.Sequence { end, err := r.log.End(t.Context(), "r"); must(t, err); return end }, false},
	} {
		alice.send(chat.RoomSubscribe, "", fmt.Sprint("s", step), subscribe("r", c.after().String()))
		for {
			e, err := alice.read()
			if err != nil {
				t.Fatal(err)
			}
			if e.Type == chat.MessagePosted {
				continue
			}
			if e.Type != chat.RoomSubscribed || strings.Contains(string(e.Data), `"complete":true`) != c.complete {
				t.Errorf("step %d: %s %s", step, e.Type.Short(), e.Data)
			}
			break
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRefusedEvents(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice")
	r.room("other", "bob")
	alice := r.open("alice")
	for name, c := range map[string]struct {
		typ        chat.Type
		room       chat.RoomID
		data, want string
	}{
		"not a member":        {chat.MessagePosted, "other", `{"text":"x"}`, `"status":403`},
		"no such room":        {chat.MessagePosted, "nowhere", `{"text":"x"}`, `"status":403`},
		"somebody's stream":   {chat.MessagePosted, "@alice", `{"text":"x"}`, `"status":422`},
		"too long":            {chat.MessagePosted, "r", fmt.Sprintf(`{"text":%q}`, long(4001)), `"status":422`},
		"no text":             {chat.MessagePosted, "r", `{}`, `"status":422`},
		"unknown type":        {"dev.knatter.nonsense", "r", `{}`, `"status":422`},
		"a system's type":     {chat.RouteOpened, "r", `{"connector":0}`, `"status":403`},
		"a function's type":   {chat.MemberJoined, "r", `{"user":"alice","nickname":"x","role":"owner"}`, `"status":403`},
		"foreign room":        {chat.RoomSubscribe, "", subscribe("other", ""), `"status":403`},
		"foreign stream":      {chat.RoomSubscribe, "", subscribe("@bob", ""), `"status":422`},
		"nothing to follow":   {chat.RoomSubscribe, "", `{}`, `"status":422`},
		"a sequence of sorts": {chat.RoomSubscribe, "", subscribe("r", "12"), `"status":422`},
	} {
		t.Run(name, func(t *testing.T) {
			alice.send(c.typ, c.room, "the-id", c.data)
			e := alice.next(chat.Refused)
			if got := string(e.Data); !strings.Contains(got, c.want) || !strings.Contains(got, `"event":"the-id"`) {
				t.Errorf("answered %s, want %s", got, c.want)
			}
		})
	}
}

func TestCloseCodes(t *testing.T) {
	r := newRig(t, connector.Config{OpenTimeout: 500 * time.Millisecond, FramesPerSecond: 10, Burst: 20})
	r.room("r", "alice")
	text := func(s string) func(*socket) {
		return func(c *socket) { _ = c.conn.WriteMessage(websocket.TextMessage, []byte(s)) }
	}
	for name, c := range map[string]struct {
		token string
		do    func(*socket)
		want  connector.CloseCode
	}{
		"binary":            {r.token("alice", time.Hour), func(c *socket) { _ = c.conn.WriteMessage(websocket.BinaryMessage, []byte("{}")) }, connector.CloseNotText},
		"not UTF-8":         {r.token("alice", time.Hour), text("{\"a\":\"\xff\"}"), connector.CloseNotUTF8},
		"1 MB":              {r.token("alice", time.Hour), text(strings.Repeat("x", 1<<20)), connector.CloseTooLarge},
		"garbage":           {r.token("alice", time.Hour), text("hello"), connector.CloseNotAnEvent},
		"not an event":      {r.token("alice", time.Hour), text(`{"specversion":"1.0"}`), connector.CloseNotAnEvent},
		"deep":              {r.token("alice", time.Hour), text(strings.Repeat("[", 30_000)), connector.CloseNotAnEvent},
		"bad token":         {"nonsense", func(*socket) {}, connector.CloseUnauthorized},
		"expiring token":    {r.token("alice", 2*time.Second), func(*socket) {}, connector.CloseUnauthorized},
		"no token":          {"", func(*socket) {}, connector.CloseUnauthorized},
		"event before open": {"", func(c *socket) { c.say("r", "x") }, connector.CloseUnauthorized},
		"flood": {r.token("alice", time.Hour), func(c *socket) {
			for range 100 {
				c.say("r", "x")
			}
		}, connector.CloseTooMany},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := r.dial(c.token)
			s.t = t
			c.do(s)
			s.closed(c.want)
		})
	}
}

func TestRemovedMemberHearsNoMore(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice", "bob")
	alice, bob := r.open("alice"), r.open("bob")
	for _, s := range []*socket{alice, bob} {
		s.send(chat.RoomSubscribe, "", "s", subscribe("r", ""))
		s.next(chat.RoomSubscribed)
	}
	r.member(chat.MemberRemoved, "r", "bob")
	alice.until(chat.MemberRemoved)
	bob.until(chat.MemberRemoved)
	alice.say("r", "secret")
	alice.hears("secret")
	bob.send(chat.MessagePosted, "r", "x", `{"text":"still here"}`)
	if e := bob.next(chat.Refused); !strings.Contains(string(e.Data), `"status":403`) {
		t.Errorf("answered %s", e.Data)
	}
}

func TestAllFollowsRoomsJoinedLater(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("first", "bob")
	bob := r.open("bob")
	bob.send(chat.RoomSubscribe, "", "s", `{"all":true}`)
	bob.next(chat.RoomSubscribed)
	r.room("later", "alice", "bob")
	if e := bob.until(chat.MemberJoined); e.Room != "later" {
		t.Errorf("joined %s", e.Room)
	}
	bob.until(chat.RoomSubscribed)
	alice := r.open("alice")
	alice.say("later", "welcome")
	bob.hears("welcome")
}

func TestLogoutClosesTheSession(t *testing.T) {
	r := newRig(t, connector.Config{})
	token := r.token("alice", time.Hour)
	s := r.dial(token)
	s.next(chat.SessionOpened)
	r.routes("@alice", 1)
	sessions := r.store.Sessions()
	claims, err := r.verify(token)
	if err != nil {
		t.Fatal(err)
	}
	if err := sessions.Revoke(t.Context(), claims.Session); err != nil {
		t.Fatal(err)
	}
	e, err := chat.NewStreamEvent("revoked", "alice", chat.SessionRevoked, chat.StreamOf("alice"), chat.RevokedData{Session: claims.Session})
	if err != nil {
		t.Fatal(err)
	}
	r.append(&e)
	s.closed(connector.CloseUnauthorized)
}

func TestRouteIsClosedWhenNobodyListens(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice", "bob")
	bob := r.open("bob")
	bob.send(chat.RoomSubscribe, "", "s", subscribe("r", ""))
	bob.next(chat.RoomSubscribed)
	r.routes("r", 1)
	bob.send(chat.RoomUnsubscribe, "", "u", subscribe("r", ""))
	bob.next(chat.RoomUnsubscribed)
	alice := r.open("alice")
	alice.say("r", "anybody?") // its delivery finds nobody and closes the route
	alice.until(chat.Ack)
	r.routes("r", 0)
	alice.say("r", "missed")
	alice.until(chat.Ack)

	bob.send(chat.RoomSubscribe, "", "s", subscribe("r", ""))
	bob.next(chat.RoomSubscribed)
	alice.say("r", "back")
	bob.hears("back")
}

func TestSlowReaderIsClosedAndOthersAreNot(t *testing.T) {
	r := newRig(t, connector.Config{FramesPerSecond: 100_000, Burst: 100_000, QueueFrames: 64, QueueBytes: 1 << 20, WriteTimeout: time.Minute})
	r.room("r", "alice", "bob", "carol")
	slow, bob := r.open("carol"), r.open("bob")
	for _, s := range []*socket{slow, bob} {
		s.send(chat.RoomSubscribe, "", "s", subscribe("r", ""))
		s.next(chat.RoomSubscribed)
	}
	// Carol reads nothing: what fills the socket's buffers and then her queue is
	// more than both hold.
	alice := r.open("alice")
	const n = 1500
	text := fmt.Sprintf(`{"text":%q}`, long(4000))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range n {
			bob.until(chat.MessagePosted)
		}
	}()
	for i := range n {
		alice.send(chat.MessagePosted, "r", fmt.Sprint(i), text)
		alice.until(chat.Ack)
	}
	<-done
	slow.closed(connector.CloseTooSlow)
}

func TestSocketsOfOneUserAreLimited(t *testing.T) {
	r := newRig(t, connector.Config{SocketsPerUser: 2})
	first := r.open("alice")
	r.open("alice")
	r.dial(r.token("alice", time.Hour)).closed(connector.CloseTooMany)
	r.open("bob")
	_ = first.conn.Close()
	// The place is free when the connector has noticed.
	for deadline := time.Now().Add(10 * time.Second); ; {
		if e, err := r.dial(r.token("alice", time.Hour)).read(); err == nil && e.Type == chat.SessionOpened {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a closed socket stays taken")
		}
	}
}

func TestHandshakes(t *testing.T) {
	r := newRig(t, connector.Config{Origins: []string{"https://friend.example"}})
	for name, c := range map[string]struct {
		header map[string]string
		want   int
	}{
		"ours":              {map[string]string{"Origin": "http://" + r.base}, http.StatusSwitchingProtocols},
		"a friend's":        {map[string]string{"Origin": "https://friend.example"}, http.StatusSwitchingProtocols},
		"no browser":        {nil, http.StatusSwitchingProtocols},
		"one of several":    {map[string]string{"Sec-WebSocket-Protocol": "other, cloudevents.json"}, http.StatusSwitchingProtocols},
		"a stranger's":      {map[string]string{"Origin": "https://evil.example"}, http.StatusForbidden},
		"no origin at all":  {map[string]string{"Origin": "null"}, http.StatusForbidden},
		"other subprotocol": {map[string]string{"Sec-WebSocket-Protocol": "other"}, http.StatusBadRequest},
		"other version":     {map[string]string{"Sec-WebSocket-Version": "8"}, http.StatusBadRequest},
		"list of protocols": {map[string]string{"Connection": "keep-alive, upgrade", "Upgrade": "WebSocket"}, http.StatusSwitchingProtocols},
		"bad key":           {map[string]string{"Sec-WebSocket-Key": "x"}, http.StatusBadRequest},
		"plain HTTP":        {map[string]string{"Upgrade": ""}, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.base+"/v1/socket", nil)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range map[string]string{
				"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
				"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "cloudevents.json",
			} {
				req.Header.Set(k, v)
			}
			for k, v := range c.header {
				req.Header.Set(k, v)
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("answered %d, want %d", resp.StatusCode, c.want)
			}
			if problem := resp.Header.Get("Content-Type") == "application/problem+json"; problem != (c.want >= 400) {
				t.Errorf("answered with %s", resp.Header.Get("Content-Type"))
			}
		})
	}
}

// A client that comes back before the connector follows its deliveries must not
// get a border that nothing is delivered from.
func TestSubscribingWaitsForTheDeliveries(t *testing.T) {
	begin := make(chan struct{})
	r := newRig(t, connector.Config{}, func(follow connector.Follow) connector.Follow {
		return func(ctx context.Context, ready func(), handle func([]chat.Delivery)) error {
			<-begin
			return follow(ctx, ready, handle)
		}
	})
	r.room("r", "alice")
	alice := r.open("alice")
	alice.send(chat.RoomSubscribe, "", "s", subscribe("r", ""))
	alice.say("r", "early")
	alice.next(chat.Ack) // and no room.subscribed before it
	close(begin)
	alice.next(chat.RoomSubscribed)
	alice.say("r", "live")
	alice.hears("live")
}

func TestLostDeliveriesAreResumed(t *testing.T) {
	lose := make(chan struct{})
	r := newRig(t, connector.Config{}, func(follow connector.Follow) connector.Follow {
		return func(ctx context.Context, ready func(), handle func([]chat.Delivery)) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			go func() {
				select {
				case <-lose:
					cancel()
				case <-ctx.Done():
				}
			}()
			return follow(ctx, ready, handle)
		}
	})
	r.room("r", "alice")
	alice := r.open("alice")
	alice.send(chat.RoomSubscribe, "", "s", subscribe("r", ""))
	alice.until(chat.RoomSubscribed)
	alice.say("r", "before")
	last := alice.hears("before").Sequence
	lose <- struct{}{}
	alice.closed(connector.CloseDraining)
	alice = r.open("alice")
	alice.say("r", "between")
	alice.next(chat.Ack)
	alice.send(chat.RoomSubscribe, "", "s", subscribe("r", last.String()))
	alice.hears("between")
	alice.next(chat.RoomSubscribed)
	alice.say("r", "after")
	alice.hears("after")
}

func TestDrain(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice")
	alice := r.open("alice")
	alice.send(chat.RoomSubscribe, "", "s", subscribe("r", ""))
	alice.next(chat.RoomSubscribed)
	r.routes("r", 1)
	alice.say("r", "last words")
	alice.until(chat.Ack)
	r.stop()
	alice.closed(connector.CloseDraining)
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	r.routes("r", 0)
	r.routes("@alice", 0)
}

// Times are in the order of the log also when another connector's clock is ahead of ours.
func TestTimesGoOnFromWhatIsDelivered(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice", "bob")
	alice := r.open("alice")
	alice.send(chat.RoomSubscribe, "", "s", `{"rooms":[{"room":"r"}]}`)
	alice.next(chat.RoomSubscribed)
	ahead, err := chat.NewEvent("ahead", "bob", chat.MessagePosted, "r", chat.Posted{Text: "ahead"})
	if err != nil {
		t.Fatal(err)
	}
	ahead.Time = ahead.Time.Add(5 * time.Second)
	r.append(&ahead)
	alice.hears("ahead")
	alice.say("r", "later")
	if e := alice.hears("later"); e.Time.Before(ahead.Time) {
		t.Errorf("%v comes after %v in the room", e.Time, ahead.Time)
	}
}
