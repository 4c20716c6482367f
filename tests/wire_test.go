package tests

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"knatter.dev/chat"
)

// Wire is a bare socket, for what no well-behaved client does and for looking at
// the frames themselves.
type Wire struct {
	t    *testing.T
	ws   *websocket.Conn
	name string // begins its events' ids
	n    int
}

// wire opens a socket without a session.
func (s *Server) wire(t *testing.T) *Wire {
	t.Helper()
	w, resp, err := s.tryWire(t, nil, "cloudevents.json")
	if err != nil {
		t.Fatalf("handshake: %v %v", err, resp)
	}
	return w
}

func (s *Server) tryWire(t *testing.T, header http.Header, subprotocols ...string) (*Wire, *http.Response, error) {
	t.Helper()
	d := websocket.Dialer{Subprotocols: subprotocols, HandshakeTimeout: patience}
	ws, resp, err := d.Dial("ws"+strings.TrimPrefix(s.URL, "http")+"/v1/socket", header)
	if err != nil {
		return nil, resp, err
	}
	t.Cleanup(func() { _ = ws.Close() })
	return newWire(t, ws), resp, nil
}

func newWire(t *testing.T, ws *websocket.Conn) *Wire {
	return &Wire{t: t, ws: ws, name: rand.Text()}
}

// Wire opens a socket with the person's session.
func (p *Person) Wire() *Wire {
	p.t.Helper()
	w := p.server.wire(p.t)
	w.Opens(p)
	return w
}

// token is a good access token of the person's.
func (p *Person) token() string {
	p.t.Helper()
	token, err := p.Token(p.t.Context(), "")
	if err != nil {
		p.t.Fatal(err)
	}
	return token.Value
}

// Opens opens the session, or renews its token.
func (w *Wire) Opens(p *Person) chat.Event {
	w.t.Helper()
	w.Sends(chat.SessionOpen, "", map[string]string{"token": p.token()})
	return w.Gets(chat.SessionOpened)
}

// Sends sends an event and returns its id.
func (w *Wire) Sends(typ chat.Type, room chat.RoomID, data any) string {
	w.t.Helper()
	w.n++
	id := fmt.Sprintf("%s-%d", w.name, w.n)
	raw, err := json.Marshal(data)
	if err != nil {
		w.t.Fatal(err)
	}
	e := chat.Event{ID: id, Source: "/wire", Type: typ, Room: room, Data: raw}
	w.SendsRaw(string(e.AppendFrame(nil)))
	return id
}

// Says sends a message and returns its id.
func (w *Wire) Says(room chat.RoomID, text string) string {
	w.t.Helper()
	return w.Sends(chat.MessagePosted, room, chat.Posted{Text: text})
}

// SendsRaw sends a text frame.
func (w *Wire) SendsRaw(frame string) {
	w.t.Helper()
	if err := w.ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		w.t.Fatal(err)
	}
}

// Follows subscribes; after is a sequence or "".
func (w *Wire) Follows(room chat.RoomID, after string) string {
	w.t.Helper()
	r := map[string]string{"room": string(room)}
	if after != "" {
		r["after"] = after
	}
	return w.Sends(chat.RoomSubscribe, "", map[string]any{"rooms": []any{r}})
}

// Next is the next frame.
func (w *Wire) Next() chat.Event {
	w.t.Helper()
	e, err := w.next()
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *Wire) next() (chat.Event, error) {
	if err := w.ws.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return chat.Event{}, err
	}
	_, b, err := w.ws.ReadMessage()
	if err != nil {
		return chat.Event{}, err
	}
	return chat.DecodeFrame(b)
}

// Gets is the next frame, which must be of the type.
func (w *Wire) Gets(typ chat.Type) chat.Event {
	w.t.Helper()
	e := w.Next()
	if e.Type != typ {
		w.t.Fatalf("got %s %s, want %s", e.Type.Short(), e.Data, typ.Short())
	}
	return e
}

// GetsAck is the sequence that an event was acknowledged with; other events are
// passed over.
func (w *Wire) GetsAck(id string) chat.Sequence {
	w.t.Helper()
	for {
		e := w.Next()
		if e.Type != chat.Ack && e.Type != chat.Refused {
			continue
		}
		var ack struct {
			Event    string        `json:"event"`
			Sequence chat.Sequence `json:"sequence"`
		}
		if err := e.Decode(&ack); err != nil {
			w.t.Fatal(err)
		}
		if e.Type != chat.Ack || ack.Event != id {
			w.t.Fatalf("got %s %s, want the ack of %s", e.Type.Short(), e.Data, id)
		}
		return ack.Sequence
	}
}

// refusal is the data of an error frame.
type refusal struct {
	Event  string `json:"event"`
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// IsRefused wants the next frame to be an error with the status.
func (w *Wire) IsRefused(id string, status int) {
	w.t.Helper()
	e := w.Gets(chat.Refused)
	var r refusal
	if err := e.Decode(&r); err != nil {
		w.t.Fatal(err)
	}
	if r.Event != id || r.Status != status || r.Title == "" || !strings.HasPrefix(r.Type, "https://knatter.dev/problems/") {
		w.t.Errorf("error frame for %s: %s, want status %d", id, e.Data, status)
	}
}

// IsClosedWith wants the server to close the socket with one of the codes. Frames
// before that are passed over. The code of a socket that just ends is
// [websocket.CloseAbnormalClosure].
func (w *Wire) IsClosedWith(codes ...int) {
	w.t.Helper()
	for frames := 0; ; frames++ {
		_, err := w.next()
		if err == nil {
			continue
		}
		code := websocket.CloseAbnormalClosure
		if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
			code = closed.Code
		}
		if !slices.Contains(codes, code) {
			w.t.Errorf("the socket ended with %v after %d frames, want %v", err, frames, codes)
		}
		return
	}
}

// IsAlive wants the session to answer.
func (w *Wire) IsAlive() {
	w.t.Helper()
	id := w.Sends("dev.knatter.nonsense", "", nil)
	w.IsRefused(id, http.StatusUnprocessableEntity)
}

// netConn is the connection below.
func (w *Wire) netConn() net.Conn { return w.ws.UnderlyingConn() }
