package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/fasthttp/websocket"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
)

// Opcodes of frames; final is the bit that ends a message.
const (
	final        = 1 << 7
	continuation = 0
	text         = websocket.TextMessage
	ping         = websocket.PingMessage
	pong         = websocket.PongMessage
)

// wire is a bare socket, for what no well-behaved client does.
type wire struct{ *websocket.Conn }

// wire opens a socket with the person's session. buffer is what the system keeps
// of what the person doesn't read; 0 is the system's own choice.
func (a *arena) wire(ctx context.Context, p *client.Session, buffer int) (*wire, error) {
	token, err := p.Token(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("a token: %w", err)
	}
	dialer := websocket.Dialer{Subprotocols: []string{"cloudevents.json"}, HandshakeTimeout: patience,
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if tcp, ok := conn.(*net.TCPConn); ok && buffer > 0 {
				err = tcp.SetReadBuffer(buffer)
			}
			return conn, err
		}}
	ws, resp, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(a.url, "http")+"/v1/socket", nil)
	if err != nil {
		return nil, fmt.Errorf("a socket: %w", err)
	}
	_ = resp.Body.Close()
	w := &wire{ws}
	if err := w.sends(chat.SessionOpen, "", map[string]string{"token": token.Value}); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = ws.Close() })
	return w, nil
}

// sends sends one event.
func (w *wire) sends(typ chat.Type, room chat.RoomID, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	e := chat.Event{ID: rand.Text(), Source: "/hostile", Type: typ, Room: room, Data: raw}
	if err := w.WriteMessage(text, e.AppendFrame(nil)); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// raw sends bytes as they are, below the protocol.
func (w *wire) raw(b []byte) error {
	if _, err := w.NetConn().Write(b); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// frame is a masked frame with an op of the constants above. The mask is zero, so
// that the payload is readable.
func frame(op byte, payload []byte) []byte {
	b := []byte{op, 0x80}
	switch n := len(payload); {
	case n < 126:
		b[1] |= byte(n)
	case n <= 0xffff:
		b[1] |= 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] |= 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}

// drains reads until the socket ends and tells how: by which close code, or 0.
func (w *wire) drains() (code int, bytes int64) {
	for {
		_, b, err := w.ReadMessage()
		if err != nil {
			if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
				return closed.Code, bytes
			}
			return 0, bytes
		}
		bytes += int64(len(b))
	}
}

// again runs f over and over until ctx ends, with a short rest after each time.
func again(ctx context.Context, f func() error) error {
	for ctx.Err() == nil {
		if err := f(); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}
