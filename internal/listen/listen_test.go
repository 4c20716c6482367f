package listen_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"knatter.dev/chat/internal/listen"
	"knatter.dev/chat/internal/wait/waittest"
)

// failing is a listener that has no file for the first connections.
type failing struct {
	net.Listener
	left  atomic.Int32
	errno syscall.Errno
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", f.errno)}
	}
	a, b := net.Pipe()
	_ = b.Close()
	return a, nil
}

func (f *failing) Close() error { return nil }

func TestAcceptWaitsForFiles(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ECONNABORTED} {
		synctest.Test(t, func(t *testing.T) {
			f := &failing{errno: errno}
			f.left.Store(20)
			begin := time.Now()
			if _, err := listen.New(f, listen.Limits{}).Accept(); err != nil {
				t.Errorf("%v: %v", errno, err)
			}
			if d := time.Since(begin); d < time.Second || d > 20*time.Second {
				t.Errorf("%v: waited %v", errno, d)
			}
		})
	}
}

func TestAcceptEndsByClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &failing{errno: syscall.EMFILE}
		f.left.Store(1 << 30)
		l := listen.New(f, listen.Limits{})
		time.AfterFunc(3*time.Second, func() { _ = l.Close() })
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	f := &failing{errno: syscall.EINVAL}
	f.left.Store(1)
	if _, err := listen.New(f, listen.Limits{}).Accept(); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a listener that is broken: %v", err)
	}
}

// server accepts from a listener on loopback and echoes; what has sent a line is
// not idle any more.
func server(t *testing.T, limits listen.Limits) (dial func(from string) net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := listen.New(ln, limits)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					conn.(*listen.Conn).SetIdle(false)
					fmt.Fprint(conn, line)
				}
			}()
		}
	}()
	return func(from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
		conn, err := d.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
}

// serves reports whether a connection is answered.
func serves(conn net.Conn) bool {
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		return false
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && line == "hello\n"
}

func TestSilentConnectionsMakeRoom(t *testing.T) {
	dial := server(t, listen.Limits{Total: 10, PerAddress: 5})
	busy := dial("127.0.0.1")
	if !serves(busy) {
		t.Fatal("the first is not served")
	}
	for range 100 {
		dial("127.0.0.1")
	}
	if !serves(dial("127.0.0.1")) || !serves(dial("127.0.0.2")) {
		t.Error("silent connections keep others out")
	}
	if !serves(busy) {
		t.Error("one that is in use had to make room")
	}
}

func TestBusyConnectionsAreLimited(t *testing.T) {
	dial := server(t, listen.Limits{Total: 6, PerAddress: 4, Exempt: func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.9") }})
	count := func(from string, n int) (served int, conns []net.Conn) {
		for range n {
			conn := dial(from)
			if serves(conn) {
				served++
				conns = append(conns, conn)
			}
		}
		return served, conns
	}
	n, first := count("127.0.0.1", 6)
	if n != 4 {
		t.Errorf("one address has %d connections, want 4", n)
	}
	if n, _ := count("127.0.0.2", 6); n != 2 {
		t.Errorf("another has %d, want 2", n)
	}
	for _, conn := range first {
		_ = conn.Close()
	}
	waittest.Holds(5*time.Second, func() bool { n, _ = count("127.0.0.9", 1); return n > 0 })
	if more, _ := count("127.0.0.9", 5); n+more < 4 {
		t.Errorf("places of closed connections stay taken: %d", n+more)
	}
}
