package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"knatter.dev/chat"
)

// server is a server of one user's rooms that speaks the protocol over pipes, so
// that time in tests is synctest's, and that fails when it is told to. It keeps
// no more than the client needs to be shown.
type server struct {
	t        *testing.T
	incoming chan net.Conn
	http     *http.Server
	dials    []time.Time

	mu        sync.Mutex
	down      bool                           // refuses network connections
	handshake int                            // status to refuse handshakes with; 0 to accept them
	heartbeat int                            // seconds; 0 for none
	replay    int                            // events that are repeated at most
	mute      bool                           // sends no acks
	refuse    map[chat.Type]int              // status of the error for the next frame of the type
	rooms     map[chat.RoomID][]chat.Event   //
	received  []chat.Event                   // frames
	tokens    []string                       // given out
	expiresIn int                            // seconds
	revoked   bool                           // refreshing fails
	sockets   map[*socket]bool               //
	next      chat.Sequence                  //
	onSocket  func(*socket)                  // called after session.opened
	members   func(chat.RoomID) (status int) // of subscribing; nil or 0 is fine
}

type socket struct {
	ws      *websocket.Conn
	writing sync.Mutex
	rooms   map[chat.RoomID]bool
}

func newServer(t *testing.T) (*server, *Client) {
	s := &server{
		t: t, incoming: make(chan net.Conn), replay: 1000, expiresIn: 900,
		refuse: make(map[chat.Type]int), rooms: make(map[chat.RoomID][]chat.Event), sockets: make(map[*socket]bool),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/socket", s.socket)
	mux.HandleFunc("POST /v1/sessions", s.session)
	mux.HandleFunc("POST /v1/sessions/refresh", s.session)
	mux.HandleFunc("GET /v1/rooms/{room}/events", s.events)
	s.http = &http.Server{Handler: mux}
	go func() { _ = s.http.Serve(s) }() // ends with Close
	transport := &http.Transport{DialContext: s.dial}
	t.Cleanup(func() {
		s.drop(func(k *socket) { _ = k.ws.Close() })
		transport.CloseIdleConnections()
		_ = s.http.Close()
	})
	return s, &Client{BaseURL: "http://chat.test", HTTP: &http.Client{Transport: transport}}
}

var _ net.Listener = (*server)(nil)

func (s *server) Accept() (net.Conn, error) {
	if c, ok := <-s.incoming; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (s *server) Close() error   { close(s.incoming); return nil }
func (s *server) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (s *server) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	s.dials = append(s.dials, time.Now())
	down := s.down
	s.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	client, srv := net.Pipe()
	select {
	case s.incoming <- srv:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *server) session(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revoked {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	token := "token-" + strconv.Itoa(len(s.tokens))
	s.tokens = append(s.tokens, token)
	fmt.Fprintf(w, `{"accessToken":%q,"refreshToken":"r","expiresIn":%d,"user":{"id":"alice"}}`, token, s.expiresIn)
}

func (s *server) events(w http.ResponseWriter, r *http.Request) {
	after, _ := chat.ParseSequence(r.URL.Query().Get("after"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	events := s.after(chat.RoomID(r.PathValue("room")), after)
	_, _ = w.Write(chat.AppendBatch(nil, events[:min(limit, len(events))]))
}

func (s *server) after(room chat.RoomID, after chat.Sequence) []chat.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.rooms[room]
	for i, e := range all {
		if e.Sequence > after {
			return append([]chat.Event(nil), all[i:]...)
		}
	}
	return nil
}

func (s *server) socket(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	status, heartbeat, onSocket := s.handshake, s.heartbeat, s.onSocket
	s.mu.Unlock()
	if status != 0 {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"title":"refused","detail":"not now"}`)
		return
	}
	up := websocket.Upgrader{Subprotocols: []string{subprotocol}}
	ws, err := up.Upgrade(w, r, nil)
	if err != nil {
		s.t.Error("handshake:", err)
		return
	}
	k := &socket{ws: ws, rooms: make(map[chat.RoomID]bool)}
	s.mu.Lock()
	s.sockets[k] = true
	s.mu.Unlock()
	defer func() {
		_ = ws.Close()
		s.mu.Lock()
		delete(s.sockets, k)
		s.mu.Unlock()
	}()
	opened := fmt.Sprintf(`{"heartbeat":%d,"limits":{"frameBytes":65536}}`, heartbeat)
	if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer token") {
		k.send(chat.SessionOpened, opened)
	}
	for first := true; ; first = false {
		_, b, err := ws.ReadMessage()
		if err != nil {
			return
		}
		e, err := chat.DecodeFrame(b)
		if err != nil {
			s.t.Errorf("not an event: %s", b)
			return
		}
		s.mu.Lock()
		s.received = append(s.received, e)
		status := s.refuse[e.Type]
		delete(s.refuse, e.Type)
		s.mu.Unlock()
		switch {
		case status != 0:
			k.send(chat.Refused, fmt.Sprintf(`{"event":%q,"status":%d,"detail":"refused"}`, e.ID, status))
		case e.Type == chat.SessionOpen:
			k.send(chat.SessionOpened, opened)
			if first && onSocket != nil {
				onSocket(k)
			}
		case e.Type == chat.RoomSubscribe:
			s.subscribe(k, &e)
		case e.Type == chat.MessagePosted:
			s.post(k, e)
		}
	}
}

func (s *server) subscribe(k *socket, e *chat.Event) {
	var data subscribeData
	if err := e.Decode(&data); err != nil {
		s.t.Error(err)
	}
	for _, r := range data.Rooms {
		if s.members != nil {
			if status := s.members(r.Room); status != 0 {
				k.send(chat.Refused, fmt.Sprintf(`{"event":%q,"room":%q,"status":%d,"detail":"no"}`, e.ID, r.Room, status))
				continue
			}
		}
		s.mu.Lock()
		k.rooms[r.Room] = true
		border := s.next
		s.mu.Unlock()
		var missed []chat.Event
		if r.After != nil {
			missed = s.after(r.Room, *r.After)
		}
		complete := len(missed) <= s.replay && (r.After == nil || *r.After <= border)
		for _, m := range missed[:min(s.replay, len(missed))] {
			k.write(m.AppendFrame(nil))
		}
		k.send(chat.RoomSubscribed, fmt.Sprintf(`{"room":%q,"sequence":%q,"complete":%t}`, r.Room, border, complete))
	}
}

// post logs an event once per id, as history shows it, and delivers it.
func (s *server) post(k *socket, e chat.Event) {
	s.mu.Lock()
	mute := s.mute
	s.mu.Unlock()
	sequence := s.log(e)
	if !mute {
		k.send(chat.Ack, fmt.Sprintf(`{"event":%q,"sequence":%q}`, e.ID, sequence))
	}
}

func (s *server) log(e chat.Event) chat.Sequence {
	s.mu.Lock()
	s.next++
	e.Sequence = s.next
	e.Source = "/users/alice"
	known := false
	for _, other := range s.rooms[e.Room] {
		known = known || other.ID == e.ID
	}
	if !known {
		s.rooms[e.Room] = append(s.rooms[e.Room], e)
	}
	var to []*socket
	for k := range s.sockets {
		if k.rooms[e.Room] {
			to = append(to, k)
		}
	}
	s.mu.Unlock()
	for _, k := range to {
		k.write(e.AppendFrame(nil))
	}
	return e.Sequence
}

// say logs a message of somebody else's.
func (s *server) say(room chat.RoomID, id string) {
	s.log(chat.Event{ID: id, Source: "/x", Type: chat.MessagePosted, Room: room, Data: json.RawMessage(`{"text":"hi"}`)})
}

// drop does something to every socket.
func (s *server) drop(f func(*socket)) {
	s.mu.Lock()
	all := make([]*socket, 0, len(s.sockets))
	for k := range s.sockets {
		all = append(all, k)
	}
	s.mu.Unlock()
	for _, k := range all {
		f(k)
	}
}

func (s *server) closeAll(code int) { s.drop(func(k *socket) { k.close(code) }) }

func (s *server) cut() { s.drop(func(k *socket) { _ = k.ws.Close() }) }

func (s *server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// got counts received frames of a type.
func (s *server) got(typ chat.Type) []chat.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []chat.Event
	for _, e := range s.received {
		if e.Type == typ {
			got = append(got, e)
		}
	}
	return got
}

func (k *socket) close(code int) {
	_ = k.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, "because"), time.Now().Add(time.Second))
	_ = k.ws.Close()
}

func (k *socket) write(frame []byte) {
	k.writing.Lock()
	defer k.writing.Unlock()
	_ = k.ws.WriteMessage(websocket.TextMessage, frame) // the client may be gone
}

func (k *socket) send(typ chat.Type, data string) {
	e := chat.Event{ID: "s", Source: "/connectors/0", Type: typ, Data: json.RawMessage(data)}
	k.write(e.AppendFrame(nil))
}
