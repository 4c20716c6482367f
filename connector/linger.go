package connector

import (
	"io"
	"net"
	"time"
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
	if tcp, ok := conn.(*net.TCPConn); ok {
		return lingeringConn{tcp}, nil
	}
	return conn, err
}

type lingeringConn struct{ *net.TCPConn }

// Close ends the sending side at once and the whole when the peer has done the
// same, or when it takes too long.
func (c lingeringConn) Close() error {
	if c.CloseWrite() != nil || c.SetDeadline(time.Now().Add(closeLinger)) != nil {
		return c.TCPConn.Close() // the peer is gone, or it was closed before
	}
	go func() {
		_, _ = io.CopyN(io.Discard, c.TCPConn, closeLingerBytes)
		_ = c.TCPConn.Close()
	}()
	return nil
}
