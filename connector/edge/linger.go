package edge

import (
	"io"
	"net"
	"time"

	"knatter.dev/chat/internal/listen"
)

const (
	closeLinger      = time.Second // how long a closed connection's input is still read
	closeLingerBytes = 8 << 20     // maximum input read after that
)

// lingering is a listener whose connections keep reading for a moment after Close.
// Closing with unread input resets the connection, and the peer may lose the answer
// that says why, such as 413 to a body that is still being sent.
type lingering struct{ net.Listener }

func (l lingering) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if accepted, ok := conn.(*listen.Conn); ok {
		return lingeringConn{accepted}, nil
	}
	return conn, err
}

type lingeringConn struct{ *listen.Conn }

// Close closes the sending side at once, and the connection when the peer has done the
// same, or takes too long.
func (c lingeringConn) Close() error {
	if c.CloseWrite() != nil || c.SetDeadline(time.Now().Add(closeLinger)) != nil {
		return c.Conn.Close() // the peer is gone, or the connection was closed before
	}
	go func() {
		_, _ = io.CopyN(io.Discard, c.TCPConn, closeLingerBytes)
		_ = c.Conn.Close()
	}()
	return nil
}

// HangUp closes a connection at once. What the peer still sends is not read.
func HangUp(conn net.Conn) {
	if l, ok := conn.(lingeringConn); ok {
		_ = l.SetLinger(0)
		conn = l.Conn
	}
	_ = conn.Close()
}

// Bare returns the connection without the lingering layer, which takes stack of each
// goroutine that waits in it.
func Bare(conn net.Conn) net.Conn {
	if l, ok := conn.(lingeringConn); ok {
		return l.TCPConn
	}
	return conn
}
