package edge

import (
	"io"
	"net"
	"time"

	"knatter.dev/chat/internal/listen"
)

const (
	closeLinger      = time.Second // how long a closed connection's input is still read
	closeLingerBytes = 8 << 20     // and how much of it
)

// lingering is a listener whose connections read on for a moment after Close:
// closing with unread input resets the connection, and the peer may then lose the
// answer that says why, such as 413 to a body that is still being sent.
type lingering struct{ net.Listener }

func (l lingering) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if accepted, ok := conn.(*listen.Conn); ok {
		return lingeringConn{accepted}, nil
	}
	return conn, err
}

type lingeringConn struct{ *listen.Conn }

// Close ends the sending side at once and the whole when the peer has done the
// same, or when it takes too long.
func (c lingeringConn) Close() error {
	if c.CloseWrite() != nil || c.SetDeadline(time.Now().Add(closeLinger)) != nil {
		return c.Conn.Close() // the peer is gone, or it was closed before
	}
	go func() {
		_, _ = io.CopyN(io.Discard, c.TCPConn, closeLingerBytes)
		_ = c.Conn.Close()
	}()
	return nil
}

// HangUp ends a connection at once: what the peer still sends is not read.
func HangUp(conn net.Conn) {
	if l, ok := conn.(lingeringConn); ok {
		_ = l.SetLinger(0)
		conn = l.Conn
	}
	_ = conn.Close()
}

// Bare is the connection without the layer that lingers: each is stack of a goroutine
// that waits in it.
func Bare(conn net.Conn) net.Conn {
	if l, ok := conn.(lingeringConn); ok {
		return l.TCPConn
	}
	return conn
}
