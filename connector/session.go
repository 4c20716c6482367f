package connector

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/edge"
	"knatter.dev/chat/connector/socket"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/guard"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/wait"
)

const (
	lingerTime  = 3 * time.Second // for the peer to answer a close frame
	hangUpTime  = time.Second     // for a peer that does not stop sending to see it
	lingerBytes = 256 << 10       // that it may send before; who sends more is hung up on
)

// session is one socket. It has one goroutine, which reads; others come and go
// with what there is to write or to replay.
//
// What lasts is told by the time since the connector's start, which goes on steadily;
// the clock, which may be set, says when a token expires.
type session struct {
	c   *Connector
	id  string
	in  *socket.Reader
	net net.Conn
	out socket.Queue

	opened time.Duration
	limit  *rate.Limiter
	share  *share // of the user; nil until session.open; the reader's alone
	over   bool   // a frame of this message is over the rate; the reader's alone
	late   int    // bytes that were read after the end; the reader's alone

	seen    atomic.Int64 // time of the last sign of life
	pinged  atomic.Int64 // of the last ping
	begun   atomic.Int64 // of the first byte of a message that is not complete; 0 when there is none
	waits   atomic.Bool  // the reader waits for us, not for the peer
	pending atomic.Int64 // bytes of live frames that wait for replays to end
	frames  atomic.Uint64
	done    chan struct{} // closed when the session ends: from then on input is dropped
	flushed chan struct{} // closed when the last frame is written
	end     sync.Once
	flush   sync.Once
	subs    subscriptions

	mu       sync.Mutex
	token    string
	claims   auth.Claims   // zero until session.open
	refusals int           // frames refused since `since`
	since    time.Duration //
	unsent   int           // appends that are not acknowledged yet
	last     []byte        // the close frame that waits for them
}

func (c *Connector) newSession(id string, conn net.Conn) *session {
	s := &session{
		c: c, id: id, net: conn, opened: c.elapsed(),
		limit: rate.NewLimiter(rate.Limit(c.cfg.FramesPerSecond), c.cfg.Burst),
		late:  lingerBytes,
		done:  make(chan struct{}), flushed: make(chan struct{}),
	}
	s.subs.s = s
	s.in = socket.NewReader(edge.Bare(conn), s, c.cfg.FrameBytes)
	s.out.Init(conn, c.writers, socket.Bounds{Frames: c.cfg.QueueFrames, Bytes: c.cfg.QueueBytes, Timeout: c.cfg.WriteTimeout}, s.written)
	s.seen.Store(int64(s.opened))
	s.pinged.Store(int64(s.opened))
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
	for s.in.Wait() == nil {
		if err := s.readMessage(); err != nil {
			if wrong, ok := errors.AsType[*socket.Error](err); ok {
				s.close(CloseCode(wrong.Code), wrong.Reason)
			} else if errors.Is(err, socket.ErrClosed) {
				s.close(CloseNormal, "")
			}
			return
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

func (s *session) readMessage() error {
	buf := readBuffers.Get().(*bytes.Buffer)
	defer readBuffers.Put(buf)
	s.over = false
	op, err := s.in.Next(buf)
	switch {
	case err != nil:
		return err
	case s.ended():
	case op == socket.Ping:
		s.Ping(buf.Bytes())
	case op == socket.Binary:
		s.close(CloseNotText, "only text messages are events")
	case op == socket.Text:
		s.c.metrics.received.Inc()
		s.guarded(func() { s.readEvent(buf.Bytes()) })
	}
	return nil
}

func (s *session) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// Frame implements [socket.Owner]: it counts the frame against the rates of the socket
// and the user, and waits where the user is over the rate in bytes. What is over the
// rate in frames counts as refused.
func (s *session) Frame(payload int) error {
	s.seen.Store(int64(s.c.elapsed()))
	if s.ended() {
		if s.late -= payload + frameCost; s.late < 0 {
			return errTooMany
		}
		return nil
	}
	if !s.limit.Allow() || s.share != nil && !s.share.frames.Allow() {
		s.over = true
		if !s.countRefusal() {
			return nil
		}
	}
	if s.share != nil {
		s.pause(s.share.take(payload))
	}
	return nil
}

// pause holds the reader up, which is no fault of the peer's.
func (s *session) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	s.waits.Store(true)
	wait.For(d, s.done)
	s.resume()
}

func (s *session) resume() {
	now := int64(s.c.elapsed())
	s.seen.Store(now)
	if s.begun.Load() != 0 {
		s.begun.Store(now)
	}
	s.waits.Store(false)
}

// Busy implements [socket.Owner].
func (s *session) Busy(b bool) {
	if b {
		s.begun.Store(int64(s.c.elapsed()))
	} else {
		s.begun.Store(0)
	}
}

// Ping implements [socket.Owner].
func (s *session) Ping(payload []byte) {
	if !s.over {
		s.out.Push(socket.Frame(socket.Pong, payload))
	}
}

// readEvent handles one message.
func (s *session) readEvent(b []byte) {
	e, err := chat.DecodeSent(b)
	switch {
	case err != nil && chat.KindOf(err) != chat.Invalid:
		s.close(CloseNotAnEvent, "not a CloudEvent")
	case s.over: // it was counted by its frames
		s.refused(e.ID, "", chat.Errorf(chat.TooMany, "over %d frames a second", s.c.cfg.FramesPerSecond))
	case err != nil:
		s.refuse(e.ID, err)
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
		s.subs.subscribeFrame(&e)
	case e.Type == chat.RoomUnsubscribe:
		s.subs.unsubscribeFrame(&e)
	case e.Type.Signal():
		s.signal(e)
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
		var admitted bool
		if s.share, admitted = s.c.shares.enter(claims.User); !admitted {
			s.close(CloseTooMany, "too many sockets")
			return
		}
		s.pause(reserve(s.share.opens, 1))
		// The user's own stream tells of revocation and of new rooms.
		s.subs.task(s.subs.followOwn)
	}
	s.send(chat.SessionOpened, map[string]any{
		"user":      map[string]any{"id": claims.User, "nickname": s.nickname(claims)},
		"session":   s.id,
		"heartbeat": s.c.cfg.Heartbeat.Seconds(),
		"limits": map[string]int{
			"frameBytes":          s.c.cfg.FrameBytes,
			"framesPerSecond":     s.c.cfg.FramesPerSecond,
			"burst":               s.c.cfg.Burst,
			"userFramesPerSecond": s.c.cfg.UserFramesPerSecond,
			"userBurst":           s.c.cfg.UserBurst,
			"userBytesPerSecond":  s.c.cfg.UserBytesPerSecond,
			"roomBytesPerSecond":  s.c.cfg.RoomBytesPerSecond,
			"subscriptions":       s.c.cfg.Subscriptions,
			"textCharacters":      chat.MaxText,
			"replay":              maxReplay,
		},
	})
}

// nickname is the user's of now, which may be younger than the token.
func (s *session) nickname(claims auth.Claims) string {
	if s.c.accounts == nil {
		return claims.Nickname
	}
	a, err := s.c.accounts.Account(s.c.ctx, claims.User)
	if err != nil {
		if chat.KindOf(err) != chat.NotFound {
			s.c.logger.Warn("reading an account", "error", err)
		}
		return claims.Nickname
	}
	return a.Nickname
}

func (s *session) user() chat.UserID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims.User
}

// identity is what the token says.
func (s *session) identity() auth.Claims {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims
}

// send queues a frame of the connector's own.
func (s *session) send(typ chat.Type, data any) {
	if !s.out.Push(s.frame(typ, data)) {
		s.close(CloseTooSlow, "too slow")
	}
}

func (s *session) sendFrame(e *chat.Event) {
	if !s.out.Push(socket.Frame(socket.Text, e.AppendFrame(nil))) {
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
	return socket.Frame(socket.Text, e.AppendFrame(nil))
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
	s.refuseRoom(id, "", err)
}

// refuseRoom is refuse for one room that an event names. What is no fault of the client's
// doesn't count.
func (s *session) refuseRoom(id string, room chat.RoomID, err error) {
	if k := chat.KindOf(err); k != chat.Unavailable && k != chat.Internal && !s.countRefusal() {
		return
	}
	s.refused(id, room, err)
}

// countRefusal counts one frame, or one room of it, that was refused; false when
// the session is closed for it.
func (s *session) countRefusal() bool {
	now := s.c.elapsed()
	s.mu.Lock()
	if now-s.since > refusalTime {
		s.since, s.refusals = now, 0
	}
	s.refusals++
	over := s.refusals > s.c.cfg.Burst
	u := s.claims.User
	s.mu.Unlock()
	if !over && u != "" {
		over = !s.c.shares.of(u).refusals.Allow()
	}
	if over {
		s.close(CloseTooMany, "too many refused frames")
	}
	return !over
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
			s.out.Close(nil, true)
			_ = s.net.Close()
		case CloseTooSlow: // what waits is what the peer cannot take
			s.out.Close(socket.CloseFrame(int(code), reason), true)
		default:
			s.mu.Lock()
			s.last = socket.CloseFrame(int(code), reason)
			now := s.unsent == 0
			s.mu.Unlock()
			if now {
				s.out.Close(s.last, false)
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
		s.out.Close(s.last, false)
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
	s.subs.end()
	s.c.drop(s)
	<-s.flushed
	if s.late < 0 {
		// Hanging up takes back what has not reached the peer yet, the close frame last. Until
		// then nothing is read, so what the peer goes on sending costs nothing.
		wait.For(hangUpTime, s.c.ctx.Done())
		edge.HangUp(s.net)
		return
	}
	_ = s.net.Close()
}
