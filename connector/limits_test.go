package connector_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
)

// Frames that no client module sends.
var (
	oneText    = []byte{0x81, 0x81, 0, 0, 0, 0, '{'}
	firstText  = []byte{0x01, 0x81, 0, 0, 0, 0, '{'}
	emptyMore  = []byte{0x00, 0x80, 0, 0, 0, 0}
	bytesMore  = []byte{0x00, 0x81, 0, 0, 0, 0, ' '}
	emptyPing  = []byte{0x89, 0x80, 0, 0, 0, 0}
	emptyPong  = []byte{0x8a, 0x80, 0, 0, 0, 0}
	closeOf1   = []byte{0x88, 0x81, 0, 0, 0, 0, 3}
	closeOf2   = []byte{0x88, 0x82, 0, 0, 0, 0, 3, 0xe8}
	hugeText   = append(binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, 1<<63), 0, 0, 0, 0)
	largeText  = append(binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, 1<<62), 0, 0, 0, 0)
	unmasked   = []byte{0x81, 0x01, '{'}
	compressed = []byte{0xc1, 0x81, 0, 0, 0, 0, 'x'}
)

// raw writes frames as they are. An error may come when the connector has closed.
func (s *socket) raw(frames ...[]byte) error {
	_, err := s.conn.NetConn().Write(slices.Concat(frames...))
	return err
}

func TestEveryFrameCounts(t *testing.T) {
	r := newRig(t, connector.Config{FramesPerSecond: 10, Burst: 50})
	for name, frames := range map[string]struct{ first, then []byte }{
		"pings":                         {nil, emptyPing},
		"pongs":                         {nil, emptyPong},
		"empty continuations":           {firstText, emptyMore},
		"small continuations":           {firstText, bytesMore},
		"pings between fragments":       {firstText, emptyPing},
		"pongs of who is not known yet": {nil, emptyPong},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s *socket
			if strings.Contains(name, "not known") {
				s = r.dial("")
			} else {
				s = r.open("alice")
			}
			s.t = t
			_ = s.raw(frames.first)
			for range 200 {
				if s.raw(frames.then) != nil {
					break
				}
			}
			s.closed(connector.CloseTooMany)
		})
	}
}

// Within the rate all of it is allowed, and a message in fragments is a message.
func TestFragmentsAndControlFramesWithinTheRate(t *testing.T) {
	r := newRig(t, connector.Config{})
	r.room("r", "alice")
	alice := r.open("alice")
	e := chat.Event{ID: "1", Source: "test", Type: chat.MessagePosted, Room: "r", Data: json.RawMessage(`{"text":"in pieces"}`)}
	for i, b := range e.AppendFrame(nil) {
		piece := []byte{0x00, 0x81, 0, 0, 0, 0, b}
		if i == 0 {
			piece[0] = 0x01
		}
		if err := alice.raw(piece, emptyPing, emptyPong, emptyMore); err != nil {
			t.Fatal(err)
		}
	}
	if err := alice.raw([]byte{0x80, 0x80, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	alice.next(chat.Ack)
}

func TestMessagesThatAreNotFinished(t *testing.T) {
	r := newRig(t, connector.Config{MessageTimeout: time.Second})
	for name, frames := range map[string][2][]byte{
		"a fragment now and then":  {firstText, bytesMore},
		"a pong now and then":      {firstText, emptyPong},
		"half a header":            {oneText[:1], nil},
		"a header without its end": {hugeText[:5], nil},
		"half a payload":           {append([]byte{0x81, 0xfe, 0x10, 0, 0, 0, 0, 0}, "half"...), []byte(" ")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := r.open("alice")
			s.t = t
			if err := s.raw(frames[0]); err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			defer close(stop)
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
						_ = s.raw(frames[1])
					}
				}
			}()
			s.closed(connector.CloseTooSlow)
		})
	}
}

func TestManySubscribeFramesAreQueued(t *testing.T) {
	r := newRig(t, connector.Config{})
	const rooms, frames = 10, 400
	for i := range rooms {
		r.room(chat.RoomID(fmt.Sprint("r", i)), "alice")
	}
	for _, after := range []string{"", `,"after":"0000000000000000"`} {
		alice := r.open("alice")
		for i := range frames {
			alice.send(chat.RoomSubscribe, "", fmt.Sprint(i), fmt.Sprintf(`{"rooms":[{"room":"r%d"%s}]}`, i%rooms, after))
		}
		for range frames {
			alice.until(chat.RoomSubscribed)
		}
		alice.say("r0", "still here")
		alice.until(chat.Ack)
	}
}

func TestUnknownRoomsAreRefusals(t *testing.T) {
	r := newRig(t, connector.Config{Burst: 50})
	var rooms []string
	for i := range 1900 {
		rooms = append(rooms, fmt.Sprintf(`{"room":"unknown-%d"}`, i))
	}
	alice := r.open("alice")
	alice.send(chat.RoomSubscribe, "", "s", `{"rooms":[`+strings.Join(rooms, ",")+`]}`)
	for n := 0; ; n++ {
		e, err := alice.read()
		if err != nil {
			if !websocket.IsCloseError(err, int(connector.CloseTooMany)) {
				t.Errorf("closed by %v", err)
			}
			if n < 40 || n > 50 { // of those that several goroutines find, some come too late
				t.Errorf("%d errors", n)
			}
			return
		}
		if e.Type != chat.Refused {
			t.Fatalf("got %s", e.Type)
		}
	}
}

func TestRateOfAUserOverAllSockets(t *testing.T) {
	r := newRig(t, connector.Config{UserFramesPerSecond: 1, UserBurst: 30})
	r.room("r", "alice", "bob")
	var sockets []*socket
	for range 4 {
		sockets = append(sockets, r.open("alice"))
	}
	acked, refused := 0, 0
	for i, s := range sockets {
		for j := range 10 {
			s.say("r", fmt.Sprint(i, j))
			switch e, err := s.read(); {
			case err != nil:
				t.Fatal(err)
			case e.Type == chat.Ack:
				acked++
			case e.Type == chat.Refused && strings.Contains(string(e.Data), `"status":429`):
				refused++
			}
		}
	}
	if acked < 30 || acked > 33 || refused != 40-acked {
		t.Errorf("%d acked, %d refused", acked, refused)
	}
	body := `{"specversion":"1.0","id":"http","source":"/x","type":"dev.knatter.message.posted","subject":"r","data":{"text":"x"}}`
	if status := r.post(r.token("alice", time.Hour), body); status != http.StatusTooManyRequests {
		t.Errorf("by HTTP it is answered %d", status)
	}
	bob := r.open("bob")
	bob.say("r", "undisturbed")
	bob.next(chat.Ack)
}

func (r *rig) post(token, body string) int {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.base+"/v1/events", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/cloudevents+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// What is over the rate in bytes is read later: nothing is lost, and nobody else waits.
func TestBytesOverTheRateWait(t *testing.T) {
	const rate, sockets, each, size = 200_000, 4, 5, 15_000
	r := newRig(t, connector.Config{UserBytesPerSecond: rate})
	r.room("r", "alice", "bob")
	text := strings.Repeat("x", 1000)
	padding := strings.Repeat(" ", size-1000) // within the frame, not within the text
	begin := time.Now()
	var writing sync.WaitGroup
	for i := range sockets {
		s := r.open("alice")
		writing.Go(func() {
			for j := range each {
				s.send(chat.MessagePosted, "r", fmt.Sprint(i, j), fmt.Sprintf(`{"text":%q%s}`, text, padding))
			}
			for range each {
				s.next(chat.Ack)
			}
		})
	}
	bob := r.open("bob")
	bob.say("r", "undisturbed")
	bob.next(chat.Ack)
	if took := time.Since(begin); took > 400*time.Millisecond {
		t.Logf("bob had to wait for %v", took)
	}
	writing.Wait()
	least := time.Duration(float64(sockets*each*size-rate) / rate * float64(time.Second))
	if took := time.Since(begin); took < least {
		t.Errorf("%d bytes took %v, at least %v are their rate", sockets*each*size, took, least)
	}
}

func TestLimitsAreStated(t *testing.T) {
	r := newRig(t, connector.Config{Heartbeat: 1500 * time.Millisecond, UserBurst: 7777})
	e := r.dial(r.token("alice", time.Hour)).next(chat.SessionOpened)
	for _, want := range []string{
		`"heartbeat":1.5,`, `"framesPerSecond":100,`, `"burst":1000,`,
		`"userFramesPerSecond":300`, `"userBurst":7777`, `"userBytesPerSecond":1048576`, `"roomBytesPerSecond":4194304`,
	} {
		if !strings.Contains(string(e.Data)+",", want) {
			t.Errorf("%s lacks %s", e.Data, want)
		}
	}
	if _, err := connector.New(connector.Config{Heartbeat: 500 * time.Millisecond}, connector.Parts{}); chat.KindOf(err) != chat.Invalid {
		t.Errorf("a heartbeat of half a second: %v", err)
	}
}

func TestNicknameOfNow(t *testing.T) {
	r := newRig(t, connector.Config{})
	if err := r.store.Accounts().Create(t.Context(), chat.Account{ID: "alice", Email: "alice@example.org", Nickname: "alice"}); err != nil {
		t.Fatal(err)
	}
	token := r.token("alice", time.Hour)
	for _, nickname := range []string{"alice", "앨리스"} {
		if err := r.store.Accounts().SetNickname(t.Context(), "alice", nickname); err != nil {
			t.Fatal(err)
		}
		e := r.dial(token).next(chat.SessionOpened)
		if !strings.Contains(string(e.Data), `"nickname":"`+nickname+`"`) {
			t.Errorf("%s, want %s", e.Data, nickname)
		}
	}
}

// handshake sends a handshake with the lines instead of a client's, and returns the
// status and the connection.
func (r *rig) handshake(version string, lines ...string) (int, *bufio.Reader, net.Conn) {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.base)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	request := append([]string{"GET /v1/socket " + version, "Host: " + r.base, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: cloudevents.json"}, lines...)
	if _, err := io.WriteString(conn, strings.Join(request, "\r\n")+"\r\n\r\n"); err != nil {
		r.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		r.t.Fatalf("%s: %v", version, err)
	}
	if accept := resp.Header.Get("Sec-WebSocket-Accept"); resp.StatusCode == http.StatusSwitchingProtocols && accept != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		r.t.Errorf("accepted by %q", accept)
	}
	return resp.StatusCode, in, conn
}

func TestVersionsOfHTTP(t *testing.T) {
	r := newRig(t, connector.Config{})
	for version, want := range map[string]int{
		"HTTP/1.1": http.StatusSwitchingProtocols,
		"HTTP/1.0": http.StatusBadRequest,
		"HTTP/9.9": http.StatusHTTPVersionNotSupported,
		"HTTP/1.2": http.StatusBadRequest,
		"HTTP/2.0": http.StatusHTTPVersionNotSupported,
	} {
		if status, _, _ := r.handshake(version); status != want {
			t.Errorf("%s is answered %d, want %d", version, status, want)
		}
	}
}

// Only Bearer is ours, however it is written; other schemes are between the browser and
// a proxy, and the token comes by session.open.
func TestSchemesOfAuthorization(t *testing.T) {
	r := newRig(t, connector.Config{})
	token := r.token("alice", time.Hour)
	for _, test := range []struct {
		header []string
		ours   bool
	}{
		{[]string{"Bearer " + token}, true},
		{[]string{"bearer " + token}, true},
		{[]string{"BEARER " + token}, true},
		{[]string{"Bearer  " + token + " "}, true},
		{[]string{"Basic YWxpY2U6c2VjcmV0", "bearer " + token}, true},
		{[]string{"Basic YWxpY2U6c2VjcmV0"}, false},
		{[]string{"Negotiate YIIJvwYGKwYBBQUCoIIJszCCCa"}, false},
		{[]string{"Bearers " + token}, false},
		{[]string{""}, false},
	} {
		header := http.Header{"Authorization": test.header}
		conn, resp, err := (&websocket.Dialer{Subprotocols: []string{"cloudevents.json"}}).Dial("ws://"+r.base+"/v1/socket", header)
		if err != nil {
			t.Fatalf("%q: %v", test.header, err)
		}
		_ = resp.Body.Close()
		s := &socket{t, conn}
		if !test.ours {
			s.send(chat.SessionOpen, "", "open", `{"token":"`+token+`"}`)
		}
		s.next(chat.SessionOpened)
		_ = conn.Close()
	}
	s := r.dial("")
	_ = s.conn.Close()
	bad := r.dial("nonsense")
	bad.closed(connector.CloseUnauthorized)
}

// Whatever a client does, it gets one close frame with the code that fits, and then
// nothing more.
func TestOneCloseFrame(t *testing.T) {
	r := newRig(t, connector.Config{})
	for name, test := range map[string]struct {
		frames []byte
		code   int
	}{
		"close":                  {closeOf2, 1000},
		"close, empty":           {[]byte{0x88, 0x80, 0, 0, 0, 0}, 1000},
		"close, twice":           {slices.Concat(closeOf2, closeOf2), 1000},
		"close of a byte":        {closeOf1, 1002},
		"2^63 bytes":             {hugeText, 1002},
		"2^62 bytes":             {largeText, 1009},
		"not masked":             {unmasked, 1002},
		"compressed":             {compressed, 1002},
		"a continuation":         {bytesMore, 1002},
		"garbage, then a close":  {slices.Concat(oneText, closeOf2), 4400},
		"unmasked, then a close": {slices.Concat(unmasked, closeOf2), 1002},
		"binary, then more":      {slices.Concat([]byte{0x82, 0x80, 0, 0, 0, 0}, unmasked, closeOf1), 1003},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, in, conn := r.handshake("HTTP/1.1")
			if status != http.StatusSwitchingProtocols {
				t.Fatal(status)
			}
			if _, err := conn.Write(test.frames); err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(in)
			if err != nil {
				t.Fatal(err)
			}
			if len(all) < 4 || all[0] != 0x88 || int(all[1]) != len(all)-2 {
				t.Fatalf("got %x, want one close frame", all)
			}
			if code := int(binary.BigEndian.Uint16(all[2:])); code != test.code {
				t.Errorf("closed with %d, want %d", code, test.code)
			}
		})
	}
}

// A user who opens sockets again and again, as one who is closed for flooding, waits
// longer and longer; nobody else does.
func TestSessionsOfAUserThatAreOpenedAgainAndAgain(t *testing.T) {
	r := newRig(t, connector.Config{SocketsPerUser: 5})
	token := r.token("alice", time.Hour)
	begin := time.Now()
	for range 10 {
		s := r.dial(token)
		s.next(chat.SessionOpened)
		_ = s.raw(closeOf2)
		s.closed(connector.CloseNormal)
	}
	if took := time.Since(begin); took < 400*time.Millisecond {
		t.Errorf("10 sessions in %v", took)
	}
	begin = time.Now()
	r.open("bob")
	if took := time.Since(begin); took > 400*time.Millisecond {
		t.Errorf("bob waits %v", took)
	}
}
