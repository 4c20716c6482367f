package socket

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 has it so; it protects nothing
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// acceptKey is the GUID that a server appends to a client's key (RFC 6455, 1.3).
const acceptKey = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// Handshake is a client's valid handshake, to be accepted.
type Handshake struct{ accept, subprotocol string }

// CheckHandshake checks that the request is a handshake of WebSocket version 13 that
// offers a subprotocol. The error says what is wrong with it.
func CheckHandshake(ctx *fasthttp.RequestCtx, subprotocol string) (Handshake, error) {
	h := &ctx.Request.Header
	key, err := base64.StdEncoding.DecodeString(string(h.Peek("Sec-WebSocket-Key")))
	switch {
	case string(h.Protocol()) != "HTTP/1.1":
		return Handshake{}, errors.New("a WebSocket needs HTTP/1.1")
	case !offers(ctx, "Connection", "upgrade") || !offers(ctx, "Upgrade", "websocket"):
		return Handshake{}, errors.New("this is a WebSocket endpoint")
	case !offers(ctx, "Sec-WebSocket-Protocol", subprotocol):
		return Handshake{}, fmt.Errorf("the subprotocol must be %s", subprotocol)
	case string(h.Peek("Sec-WebSocket-Version")) != "13" || err != nil || len(key) != 16:
		return Handshake{}, errors.New("not a handshake of WebSocket version 13")
	}
	sum := sha1.Sum([]byte(string(h.Peek("Sec-WebSocket-Key")) + acceptKey)) //nolint:gosec // as above
	return Handshake{base64.StdEncoding.EncodeToString(sum[:]), subprotocol}, nil
}

// offers reports whether a header of comma-separated values has one of them.
func offers(ctx *fasthttp.RequestCtx, header, value string) bool {
	for _, h := range ctx.Request.Header.PeekAll(header) {
		for v := range strings.SplitSeq(string(h), ",") {
			if strings.EqualFold(strings.TrimSpace(v), value) {
				return true
			}
		}
	}
	return false
}

// Accept answers the handshake and passes on the bare connection.
//
// With fasthttp's own hijacking, the server's read buffer (4 KiB and a layer of calls)
// would stay between the socket and its reader for the life of the socket. With many
// idle sockets that is most of their cost.
func (h Handshake) Accept(ctx *fasthttp.RequestCtx, handle func(net.Conn)) {
	raw := ctx.Conn()
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(buffered net.Conn) {
		if early(raw, buffered) {
			_ = raw.Close()
			return
		}
		answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Accept: " + h.accept + "\r\nSec-WebSocket-Protocol: " + h.subprotocol + "\r\n\r\n"
		if _, err := raw.Write([]byte(answer)); err != nil || raw.SetDeadline(time.Time{}) != nil {
			_ = raw.Close()
			return
		}
		handle(raw)
	})
}

// early reports whether the client sent something after its request and before the
// answer. RFC 6455 forbids that, and it would be lost with the buffer. The deadline
// prevents reads from the connection itself.
func early(raw, buffered net.Conn) bool {
	if raw.SetReadDeadline(time.Unix(1, 0)) != nil {
		return true
	}
	var b [1]byte
	n, err := buffered.Read(b[:])
	return n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || raw.SetReadDeadline(time.Time{}) != nil
}
