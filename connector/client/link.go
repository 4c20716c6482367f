package client

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/fasthttp/websocket"

	"knatter.dev/chat"
)

const (
	subprotocol  = "cloudevents.json"
	openTimeout  = 20 * time.Second // for the handshake and session.opened
	writeTimeout = 10 * time.Second
	maxFrame     = 1 << 20 // maximum size of a frame from the server
)

// Limits are stated by the server when a session opens; 0 means not stated.
type Limits struct {
	FrameBytes      int `json:"frameBytes"`      // largest frame
	FramesPerSecond int `json:"framesPerSecond"` // of one connection
	Burst           int `json:"burst"`           // frames at once
	Subscriptions   int `json:"subscriptions"`   // rooms of one connection
}

// opened is the data of session.opened.
type opened struct {
	Heartbeat float64 `json:"heartbeat"` // seconds
	Limits    Limits  `json:"limits"`
}

// link is one socket with an open session.
type link struct {
	ws        *websocket.Conn
	token     Token
	heartbeat time.Duration

	writing sync.Mutex
}

// open dials, and opens the session with a token other than refused.
func (c *Conn) open(ctx context.Context, refused string) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	token, err := c.tokens.Token(ctx, refused)
	if err != nil {
		return nil, err
	}
	address, err := c.client.socketURL()
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if c.options.TokenInHeader {
		header.Set("Authorization", "Bearer "+token.Value)
	}
	dialer := websocket.Dialer{
		Proxy: http.ProxyFromEnvironment, NetDialContext: c.options.Dial, Subprotocols: []string{subprotocol},
		ReadBufferSize: 16 << 10, WriteBufferSize: 4 << 10,
	}
	ws, resp, err := dialer.DialContext(ctx, address, header)
	if err != nil {
		if resp == nil || resp.StatusCode < 300 {
			return nil, unavailable(ctx, err)
		}
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return nil, problem(resp.StatusCode, body)
	}
	l := &link{ws: ws, token: token}
	hangUp := context.AfterFunc(ctx, func() { _ = ws.Close() })
	defer hangUp()
	if err := c.greet(l); err != nil {
		_ = ws.Close()
		return nil, endError(err)
	}
	return l, nil
}

// greet sends session.open, unless the handshake had the token, and waits for
// session.opened.
func (c *Conn) greet(l *link) error {
	l.ws.SetReadLimit(maxFrame)
	if !c.options.TokenInHeader {
		if err := l.sendToken(); err != nil {
			return err
		}
	}
	for {
		e, err := l.read()
		if err != nil {
			return err
		}
		switch e.Type {
		case chat.SessionOpened:
			return c.welcome(l, e)
		case chat.Refused:
			return refusal(e).err
		}
	}
}

func (c *Conn) welcome(l *link, e *chat.Event) error {
	var o opened
	if err := e.Decode(&o); err != nil {
		return err
	}
	l.heartbeat = time.Duration(o.Heartbeat * float64(time.Second))
	c.mu.Lock()
	c.limits = o.Limits
	c.mu.Unlock()
	return nil
}

func (l *link) sendToken() error {
	e, err := frame(chat.SessionOpen, map[string]string{"token": l.token.Value})
	if err != nil {
		return err
	}
	l.write(e.AppendFrame(nil))
	return nil
}

// write sends a frame. If that fails it ends the link: the next link begins with
// everything that has to be sent again.
func (l *link) write(frame []byte) {
	l.writing.Lock()
	defer l.writing.Unlock()
	_ = l.ws.SetWriteDeadline(time.Now().Add(writeTimeout)) // fails with the write
	if err := l.ws.WriteMessage(websocket.TextMessage, frame); err != nil {
		_ = l.ws.Close()
	}
}

// read returns the next event. Anything else is an error: the server would be broken,
// and another connection may reach a better one.
func (l *link) read() (*chat.Event, error) {
	_, b, err := l.ws.ReadMessage()
	if err != nil {
		return nil, err
	}
	e, err := chat.DecodeFrame(b)
	if err != nil {
		return nil, chat.Errorf(chat.Unavailable, "the server sent an invalid event: %w", err)
	}
	return &e, nil
}

// alive expects a sign of life within two heartbeats from now.
func (l *link) alive() {
	if l.heartbeat > 0 {
		_ = l.ws.SetReadDeadline(time.Now().Add(2*l.heartbeat + 5*time.Second)) // fails with the next read
	}
}

// serve announces the link, resumes what the Conn was doing, and reads until the link
// has ended for good. The error says why.
func (c *Conn) serve(l *link) error {
	hangUp := context.AfterFunc(c.ctx, l.close)
	defer hangUp()

	// Write in a goroutine: a server that waits for its answers to be read does not
	// read, either.
	resume := c.attach(l)
	defer c.detach()
	ctx, cancel := context.WithCancel(c.ctx)
	var writers sync.WaitGroup
	writers.Go(func() {
		for _, f := range resume {
			l.write(f)
		}
	})
	writers.Go(func() { c.renew(ctx, l) })
	defer writers.Wait()
	defer func() { _ = l.ws.Close() }()
	defer cancel()

	l.ws.SetPingHandler(func(payload string) error {
		l.alive()
		_ = l.ws.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(writeTimeout))
		return nil
	})
	for {
		l.alive()
		e, err := l.read()
		if err != nil {
			return err
		}
		c.handle(l, e)
	}
}

// close sends a close frame if that is possible at once, and hangs up.
func (l *link) close() {
	_ = l.ws.WriteControl(websocket.CloseMessage,
		websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	_ = l.ws.Close()
}

// attach makes l the Conn's link, and returns the frames that resume what the Conn was
// doing: first subscriptions, then what was sent and not acknowledged.
func (c *Conn) attach(l *link) [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = l
	c.stats.Connects++
	return append(c.resubscribeLocked(), c.pendingLocked()...)
}

func (c *Conn) detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = nil
}

// handle handles one frame of the server. It never blocks.
func (c *Conn) handle(l *link, e *chat.Event) {
	switch e.Type {
	case chat.Ack:
		c.acked(e)
	case chat.Refused:
		c.refused(e)
	case chat.SessionOpened:
		_ = c.welcome(l, e) // the answer to a renewal; the limits stay as they were
	case chat.RoomSubscribed:
		c.subscribed(e)
	case chat.RoomUnsubscribed: // the answer to our own room.unsubscribe
	default:
		c.take(e)
	}
}

// renew renews the link's session with another token whenever the current one is about
// to expire. If there is none, the server will close the link, and reconnecting finds
// the reason.
func (c *Conn) renew(ctx context.Context, l *link) {
	wait := backoff{max: c.options.MaxBackoff}
	for !l.token.Expires.IsZero() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(renewIn(time.Until(l.token.Expires))):
		}
		token, err := c.tokens.Token(ctx, l.token.Value)
		if err != nil {
			if !passing(err) || !wait.pause(ctx) {
				return
			}
			continue
		}
		l.token, wait = token, backoff{max: c.options.MaxBackoff}
		if l.sendToken() != nil {
			return
		}
	}
}

// renewIn returns when to renew a token that expires after d: a minute before, or after
// four fifths of d.
func renewIn(d time.Duration) time.Duration { return max(d-time.Minute, d*4/5, 0) }
