package connector_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
	"knatter.dev/chat/functions/fanout"
	"knatter.dev/chat/functions/history"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/auth/authtest"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/pebble"
	"knatter.dev/chat/internal/pebble/pebbletest"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/wait/waittest"
)

// rig is a connector on a real log and store, with fan-out and history; persist
// does not run, so that history lives from the log's tail.
type rig struct {
	t      *testing.T
	log    *kafka.Log
	store  *pebble.Store
	signer *auth.Signer
	c      *connector.Connector
	base   string
	stop   context.CancelFunc
	done   chan error
}

func newRig(t *testing.T, cfg connector.Config, wrap ...func(connector.Follow) connector.Follow) *rig {
	t.Helper()
	kc := kafkatest.Start(t)
	r := &rig{t: t, log: kafkatest.Log(t, kc), done: make(chan error, 2)}
	var err error
	r.store = pebbletest.Memory(t)
	r.signer = authtest.Signer(t)
	verifier := auth.NewVerifier(r.signer.Keys, r.store.Sessions())
	var follow connector.Follow = func(ctx context.Context, ready func(), handle func([]chat.Delivery)) error {
		return kafka.FollowDeliveries(ctx, kc, cfg.Ordinal, ready, handle)
	}
	for _, w := range wrap {
		follow = w(follow)
	}
	deps := function.Deps{Stores: r.store.Stores(), Log: r.log, Deliverer: r.log, Verifier: verifier, Config: function.DefaultConfig()}
	r.c, err = connector.New(cfg, connector.Parts{
		Log:       r.log,
		Signals:   r.log,
		Deliverer: r.log,
		Follow:    follow,
		Rooms:     r.store.Rooms(),
		Accounts:  r.store.Accounts(),
		Verifier:  verifier,
		Functions: map[string]http.RoundTripper{
			"history": serve.Local{Handler: history.New(deps)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.base = ln.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	dispatching, stopDispatching := context.WithCancel(context.Background())
	dispatched := make(chan struct{})
	function := fanout.New(deps)
	go func() {
		defer close(dispatched)
		var followers sync.WaitGroup
		for _, fn := range []chat.EventFunction{chat.Fanout, chat.Signals} {
			followers.Go(func() { _ = dispatch.New(kc, fn, function, dispatch.Options{}).Run(dispatching) })
		}
		followers.Wait()
	}()
	go func() {
		r.done <- r.c.Serve(ctx, ln)
		close(r.done)
	}()
	t.Cleanup(func() {
		stop()
		<-r.done
		stopDispatching()
		<-dispatched
	})
	if wrap == nil {
		waittest.Until(t, "the connector is ready", func() bool { return r.c.Ready(t.Context()) == nil })
	}
	return r
}

// token is an access token of a new session of user.
func (r *rig) token(user chat.UserID, lives time.Duration) string {
	r.t.Helper()
	id := fmt.Sprintf("session-of-%s-%d", user, time.Now().UnixNano())
	err := r.store.Sessions().Open(r.t.Context(), chat.Session{ID: id, User: user, Created: time.Now(), Expires: time.Now().Add(time.Hour)})
	if err != nil {
		r.t.Fatal(err)
	}
	token, err := r.signer.Sign(auth.Claims{User: user, Nickname: string(user), Session: id, Expires: time.Now().Add(lives)})
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}

// member makes user join or leave the room: logged, applied, told on the stream.
func (r *rig) member(typ chat.Type, room chat.RoomID, user chat.UserID) {
	r.t.Helper()
	e, err := chat.NewEvent(fmt.Sprint("member-", time.Now().UnixNano()), user, typ, room, chat.MemberData{User: user, Nickname: string(user), Role: chat.Plain})
	if err != nil {
		r.t.Fatal(err)
	}
	own := e
	own.Stream = chat.StreamOf(user)
	r.append(&e)
	if err := r.store.Rooms().Apply(r.t.Context(), []chat.Event{e}); err != nil {
		r.t.Fatal(err)
	}
	r.append(&own)
}

func (r *rig) append(e *chat.Event) {
	r.t.Helper()
	if err := r.log.Append(r.t.Context(), e); err != nil {
		r.t.Fatal(err)
	}
}

// room makes a room with members.
func (r *rig) room(id chat.RoomID, members ...chat.UserID) {
	r.t.Helper()
	e, err := chat.NewEvent("create-"+string(id), members[0], chat.RoomCreated, id, chat.RoomData{Name: string(id), Kind: chat.Group})
	if err != nil {
		r.t.Fatal(err)
	}
	r.append(&e)
	if err := r.store.Rooms().Apply(r.t.Context(), []chat.Event{e}); err != nil {
		r.t.Fatal(err)
	}
	for _, user := range members {
		r.member(chat.MemberJoined, id, user)
	}
}

// socket is a client's end.
type socket struct {
	t    *testing.T
	conn *websocket.Conn
}

func (r *rig) dial(token string) *socket {
	r.t.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	dialer := websocket.Dialer{Subprotocols: []string{"cloudevents.json"}}
	conn, resp, err := dialer.Dial("ws://"+r.base+"/v1/socket", header)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	r.t.Cleanup(func() { _ = conn.Close() })
	return &socket{r.t, conn}
}

// open dials and waits for session.opened.
func (r *rig) open(user chat.UserID) *socket {
	r.t.Helper()
	s := r.dial(r.token(user, time.Hour))
	s.next(chat.SessionOpened)
	return s
}

func (s *socket) send(typ chat.Type, room chat.RoomID, id, data string) {
	s.t.Helper()
	e := chat.Event{ID: id, Source: "test", Type: typ, Room: room, Data: json.RawMessage(data)}
	if err := s.conn.WriteMessage(websocket.TextMessage, e.AppendFrame(nil)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *socket) say(room chat.RoomID, text string) {
	s.t.Helper()
	s.send(chat.MessagePosted, room, text, fmt.Sprintf(`{"text":%q}`, text))
}

func (s *socket) read() (chat.Event, error) {
	_ = s.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, b, err := s.conn.ReadMessage()
	if err != nil {
		return chat.Event{}, err
	}
	return chat.DecodeFrame(b)
}

// next reads one event and checks its type.
func (s *socket) next(want chat.Type) chat.Event {
	s.t.Helper()
	e, err := s.read()
	if err != nil {
		s.t.Fatalf("waiting for %s: %v", want.Short(), err)
	}
	if e.Type != want {
		s.t.Fatalf("got %s %s in place of %s", e.Type.Short(), e.Data, want.Short())
	}
	return e
}

// until reads to the first event of the type.
func (s *socket) until(want chat.Type) chat.Event {
	s.t.Helper()
	for {
		e, err := s.read()
		if err != nil {
			s.t.Fatalf("waiting for %s: %v", want.Short(), err)
		}
		if e.Type == want {
			return e
		}
	}
}

// closed reads to the end and checks the close code.
func (s *socket) closed(want connector.CloseCode) {
	s.t.Helper()
	for {
		if _, err := s.read(); err != nil {
			if !websocket.IsCloseError(err, int(want)) {
				s.t.Fatalf("closed by %v, want %d", err, want)
			}
			return
		}
	}
}

func (s *socket) hears(text string) chat.Event {
	s.t.Helper()
	e := s.until(chat.MessagePosted)
	var data chat.Posted
	if err := e.Decode(&data); err != nil {
		s.t.Fatal(err)
	}
	if data.Text != text {
		s.t.Fatalf("heard %q, want %q", data.Text, text)
	}
	return e
}

func (r *rig) verify(token string) (auth.Claims, error) {
	return auth.NewVerifier(r.signer.Keys, nil).Verify(r.t.Context(), token)
}

// routes waits until fan-out knows so many connectors of the stream.
func (r *rig) routes(stream chat.StreamID, want int) {
	r.t.Helper()
	got := -1
	if !waittest.Holds(waittest.Patience, func() bool {
		connectors, err := r.store.Routes().Connectors(r.t.Context(), []chat.StreamID{stream})
		if err != nil {
			r.t.Fatal(err)
		}
		got = len(connectors[stream])
		return got == want
	}) {
		r.t.Fatalf("%s has %d routes, want %d", stream, got, want)
	}
}

func long(n int) string { return strings.Repeat("가", n) }
