package connector

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/fasthttp/websocket"
	"golang.org/x/time/rate"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/guard"
	"knatter.dev/chat/internal/serve"
)

const (
	lingerTime = 3 * time.Second // for the peer to answer a close frame
	maxTasks   = 64              // subscribe and unsubscribe frames that wait
)

// session is one socket. It has one goroutine, which reads; others come and go
// with what there is to write or to replay.
type session struct {
	c    *Connector
	id   string
	conn *websocket.Conn
	net  net.Conn
	out  queue

	opened   time.Time
	limit    *rate.Limiter
	refusals int       // frames refused since `since`; the reader's alone
	since    time.Time //

	seen    atomic.Int64 // unix nanoseconds of the last sign of life
	pinged  atomic.Int64 // of the last ping
	frames  atomic.Uint64
	done    chan struct{} // closed when the session ends: from then on input is dropped
	flushed chan struct{} // closed when the last frame is written
	end     sync.Once
	flush   sync.Once

	mu     sync.Mutex
	token  string
	claims auth.Claims     // zero until session.open
	all    bool            // follows every room of the user
	own    *subscription   // to the user's own stream
	rooms  []*subscription // by room
	tasks  []func()
	busy   bool   // tasks are being run
	unsent int    // appends that are not acknowledged yet
	last   []byte // the close frame that waits for them
}

func (c *Connector) newSession(id string, conn *websocket.Conn, raw net.Conn) *session {
	s := &session{
		c: c, id: id, conn: conn, net: raw, opened: time.Now(),
		limit: rate.NewLimiter(rate.Limit(c.cfg.FramesPerSecond), c.cfg.Burst),
		done:  make(chan struct{}), flushed: make(chan struct{}),
	}
	s.out = queue{conn: raw, maxFrames: c.cfg.QueueFrames, maxBytes: c.cfg.QueueBytes, timeout: c.cfg.WriteTimeout, onWritten: s.written, writers: c.writers}
	if system, ok := raw.(syscall.Conn); ok {
		s.out.raw, _ = system.SyscallConn() // without it the queue writes by itself
	}
	now := time.Now().UnixNano()
	s.seen.Store(now)
	s.pinged.Store(now)
	conn.SetPingHandler(func(data string) error {
		if !s.limit.Allow() {
			return errTooMany
		}
		s.seen.Store(time.Now().UnixNano())
		s.out.push(wireFrame(opPong, []byte(data)))
		return nil
	})
	conn.SetPongHandler(func(string) error {
		s.seen.Store(time.Now().UnixNano())
		return nil
	})
	conn.SetCloseHandler(func(code int, _ string) error {
		s.close(CloseNormal, "")
		return nil
	})
	return s
}

var (
	errTooMany  = errors.New("too many frames")
	readBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}
)

// read handles frames until the socket ends. After the session ended it goes on
// reading for a moment: closing with unread input would reset the connection, and
// the peer might never see the close frame.
func (s *session) read() {
	defer s.leave()
	for {
		kind, r, err := s.conn.NextReader()
		switch {
		case errors.Is(err, errTooMany):
			s.close(CloseTooMany, "too many frames")
			return
		case err != nil:
			return
		case s.ended():
			continue // NextReader skips the rest of the message
		case kind != websocket.TextMessage:
			s.close(CloseNotText, "only text messages are events")
		default:
			s.guarded(func() { s.readFrame(r) })
		}
	}
}

// guarded calls f; a panic of it ends this session and no other.
func (s *session) guarded(f func()) {
	err := guard.Call(s.c.ctx, s.c.logger, "a session", func() error {
		f()
		return nil
	})
	if err != nil {
		s.close(closeAbnormal, "")
	}
}

func (s *session) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *session) readFrame(r io.Reader) {
	buf := readBuffers.Get().(*bytes.Buffer)
	defer readBuffers.Put(buf)
	buf.Reset()
	n, err := buf.ReadFrom(io.LimitReader(r, int64(s.c.cfg.FrameBytes)+1))
	s.seen.Store(time.Now().UnixNano())
	s.c.metrics.received.Inc()
	switch {
	case err != nil:
		return // the next read says so too
	case n > int64(s.c.cfg.FrameBytes):
		s.close(CloseTooLarge, "over "+strconv.Itoa(s.c.cfg.FrameBytes)+" bytes")
		return
	case !utf8.Valid(buf.Bytes()):
		s.close(CloseNotUTF8, "not UTF-8")
		return
	}
	allowed := s.limit.Allow()
	e, err := chat.DecodeFrame(buf.Bytes())
	switch {
	case err != nil:
		s.close(CloseNotAnEvent, "not a CloudEvent")
	case !allowed:
		s.refuse(e.ID, chat.Errorf(chat.TooMany, "over %d frames a second", s.c.cfg.FramesPerSecond))
	default:
		s.handle(e)
	}
}

// handle handles one event from the client.
func (s *session) handle(e chat.Event) {
	switch {
	case e.Type == chat.SessionOpen:
		var data struct {
			Token string `json:"token"`
		}
		if err := e.Decode(&data); err != nil {
			s.close(CloseNotAnEvent, "session.open needs a token")
			return
		}
		s.authenticate(data.Token)
	case s.user() == "":
		s.close(CloseUnauthorized, "session.open must come first")
	case e.Type == chat.RoomSubscribe:
		s.subscribeFrame(&e)
	case e.Type == chat.RoomUnsubscribe:
		s.unsubscribeFrame(&e)
	default:
		s.publish(e)
	}
}

// authenticate opens the session, or renews its token.
func (s *session) authenticate(token string) {
	claims, err := s.c.verifier.Verify(s.c.ctx, token)
	if err != nil {
		if chat.KindOf(err) == chat.Unauthenticated {
			s.close(CloseUnauthorized, "the token is not valid")
		} else {
			s.close(CloseDraining, "tokens cannot be checked now")
		}
		return
	}
	s.mu.Lock()
	first := s.claims.User == ""
	if !first && (claims.User != s.claims.User || claims.Session != s.claims.Session) {
		s.mu.Unlock()
		s.close(CloseUnauthorized, "the token is another session's")
		return
	}
	s.claims, s.token = claims, token
	s.mu.Unlock()
	if first {
		if !s.c.admit(claims.User) {
			s.close(CloseTooMany, "too many sockets")
			return
		}
		// The user's own stream tells of revocation and of new rooms.
		s.task(s.followOwn)
	}
	s.send(chat.SessionOpened, map[string]any{
		"user":      map[string]any{"id": claims.User, "nickname": claims.Nickname},
		"session":   s.id,
		"heartbeat": int(s.c.cfg.Heartbeat / time.Second),
		"limits": map[string]int{
			"frameBytes":      s.c.cfg.FrameBytes,
			"framesPerSecond": s.c.cfg.FramesPerSecond,
			"burst":           s.c.cfg.Burst,
			"subscriptions":   s.c.cfg.Subscriptions,
			"textCharacters":  chat.MaxText,
			"replay":          maxReplay,
		},
	})
}

func (s *session) user() chat.UserID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims.User
}

// send queues a frame of the connector's own.
func (s *session) send(typ chat.Type, data any) {
	if !s.out.push(s.frame(typ, data)) {
		s.close(CloseTooSlow, "too slow")
	}
}

func (s *session) sendFrame(e *chat.Event) {
	if !s.out.push(wireFrame(opText, e.AppendFrame(nil))) {
		s.close(CloseTooSlow, "too slow")
	}
}

func (s *session) frameID() string { return s.id + "-" + strconv.FormatUint(s.frames.Add(1), 10) }

func (s *session) frame(typ chat.Type, data any) []byte {
	e, err := chat.NewEvent(s.frameID(), "", typ, "", data)
	if err != nil {
		s.c.logger.Error("own frame", "type", typ.Short(), "error", err)
	}
	e.Source = s.c.source
	return wireFrame(opText, e.AppendFrame(nil))
}

// refusal is the data of an error frame.
type refusal struct {
	Event string      `json:"event"`
	Room  chat.RoomID `json:"room,omitempty"`
	serve.Problem
}

// refuse answers one event of the client with an error frame. Who keeps on sending
// what is refused is closed.
func (s *session) refuse(id string, err error) {
	now := time.Now()
	if now.Sub(s.since) > time.Minute {
		s.since, s.refusals = now, 0
	}
	s.refusals++
	if s.refusals > s.c.cfg.Burst {
		s.close(CloseTooMany, "too many refused frames")
		return
	}
	s.refused(id, "", err)
}

// refused sends an error frame.
func (s *session) refused(id string, room chat.RoomID, err error) {
	p := serve.ProblemOf(err)
	s.c.metrics.refused.WithLabelValues(strconv.Itoa(p.Status)).Inc()
	s.send(chat.Refused, refusal{Event: id, Room: room, Problem: p})
}

// close begins the closing handshake. The first call counts. It never blocks; the
// close frame waits for the acks that are under way.
func (s *session) close(code CloseCode, reason string) {
	s.end.Do(func() {
		close(s.done)
		s.c.metrics.closed.WithLabelValues(strconv.Itoa(int(code))).Inc()
		switch code {
		case closeAbnormal: // nobody is there to read a frame
			s.out.close(nil, true)
			_ = s.net.Close()
		case CloseTooSlow: // what waits is what the peer cannot take
			s.out.close(closeFrame(code, reason), true)
		default:
			s.mu.Lock()
			s.last = closeFrame(code, reason)
			now := s.unsent == 0
			s.mu.Unlock()
			if now {
				s.out.close(s.last, false)
			}
		}
	})
}

// appending counts an append that an ack or an error will answer.
func (s *session) appending() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsent++
}

// answered ends what appending began; the last one lets a session close that waited.
func (s *session) answered() {
	s.mu.Lock()
	s.unsent--
	now := s.unsent == 0 && s.last != nil
	s.mu.Unlock()
	if now {
		s.out.close(s.last, false)
	}
}

// written is called by the queue when it wrote the last frame, or cannot write any
// more: the peer has a moment to answer.
func (s *session) written() {
	s.close(closeAbnormal, "")
	_ = s.net.SetReadDeadline(time.Now().Add(lingerTime))
	s.flush.Do(func() { close(s.flushed) })
}

// leave ends what the session had. The reader calls it last.
func (s *session) leave() {
	s.close(closeAbnormal, "")
	s.mu.Lock()
	subs, user := s.rooms, s.claims.User
	if s.own != nil {
		subs = append(subs, s.own)
	}
	s.rooms, s.own, s.tasks = nil, nil, nil
	s.mu.Unlock()
	for _, sub := range subs {
		sub.end()
	}
	s.c.drop(s, user)
	<-s.flushed
	_ = s.net.Close()
}

// request runs a client's request as a task. A client that queues up too many is
// closed.
func (s *session) request(f func()) {
	s.mu.Lock()
	full := len(s.tasks) >= maxTasks
	s.mu.Unlock()
	if full {
		s.close(CloseTooMany, "too many requests at once")
		return
	}
	s.task(f)
}

// task runs f after the tasks before it, beside the reader.
func (s *session) task(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks = append(s.tasks, f)
	if !s.busy {
		s.busy = true
		go s.runTasks()
	}
}

func (s *session) runTasks() {
	for {
		s.mu.Lock()
		if len(s.tasks) == 0 {
			s.busy, s.tasks = false, nil
			s.mu.Unlock()
			return
		}
		f := s.tasks[0]
		s.tasks = s.tasks[1:]
		s.mu.Unlock()
		if !s.ended() {
			s.guarded(f)
		}
	}
}
