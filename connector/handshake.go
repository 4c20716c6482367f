package connector

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/valyala/fasthttp"
)

// takeOver turns a fasthttp request into a WebSocket on the bare connection.
//
// The library's own upgrader for fasthttp leaves fasthttp's read buffer (4 KiB and
// a layer of calls) between the socket and its reader for as long as the socket
// lives; with many idle sockets that is most of what they cost. So the handshake
// is answered by its upgrader for net/http, on the connection itself.
func takeOver(ctx *fasthttp.RequestCtx, upgrader *websocket.Upgrader, handle func(*websocket.Conn, net.Conn)) {
	r := &http.Request{Method: http.MethodGet, Host: string(ctx.Host()), Header: make(http.Header)}
	for _, name := range []string{"Connection", "Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol"} {
		for _, value := range ctx.Request.Header.PeekAll(name) {
			r.Header.Add(name, string(value))
		}
	}
	raw := ctx.Conn()
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(buffered net.Conn) {
		if early(raw, buffered) {
			_ = raw.Close()
			return
		}
		// Each layer around the connection is stack of a goroutine that waits in it.
		bare := raw
		if l, ok := raw.(lingeringConn); ok {
			bare = l.TCPConn
		}
		conn, err := upgrader.Upgrade(&hijacked{conn: bare, header: make(http.Header)}, r, nil)
		if err != nil {
			_ = raw.Close()
			return
		}
		handle(conn, raw)
	})
}

// early tells whether the client sent something behind its request, before the
// answer, which RFC 6455 forbids and which would be lost with the buffer. The
// deadline keeps the read from taking anything from the connection itself.
func early(raw, buffered net.Conn) bool {
	if raw.SetReadDeadline(time.Unix(1, 0)) != nil {
		return true
	}
	var b [1]byte
	n, err := buffered.Read(b[:])
	return n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || raw.SetReadDeadline(time.Time{}) != nil
}

// hijacked lets the upgrader for net/http work on a connection that fasthttp let
// go of. It writes the whole handshake itself.
type hijacked struct {
	conn   net.Conn
	header http.Header
}

func (h *hijacked) Header() http.Header       { return h.header }
func (h *hijacked) Write([]byte) (int, error) { return 0, http.ErrHijacked }
func (h *hijacked) WriteHeader(int)           {}

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReaderSize(h.conn, 16), bufio.NewWriterSize(h.conn, 16)), nil
}
