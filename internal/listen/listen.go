// Package listen accepts connections. It survives a lack of open files, and limits the
// number of connections, so that files remain for everything else.
package listen

import (
	"container/list"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Limits are the maximum numbers of open connections. Above them, the connection that
// has been idle longest makes room; if none is idle, the new connection is closed.
type Limits struct {
	Total      int                   // 0 means no limit
	PerAddress int                   // of one address, or IPv6 network; 0 means no limit
	Exempt     func(netip.Addr) bool // exempts addresses from PerAddress, such as proxies; nil for none
}

const (
	sayEvery = time.Minute
	minPause = 5 * time.Millisecond // before the next try to accept
	maxPause = time.Second
)

// Listener is a TCP listener with limits. If the process or the machine has no file
// left for a connection, Accept waits and retries.
type Listener struct {
	net.Listener
	limits Limits
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	open int
	from map[netip.Addr]int
	idle list.List // of *Conn, the one idle longest in front
	said time.Time
}

// New returns a listener that limits the connections of another one.
func New(ln net.Listener, limits Limits) *Listener {
	return &Listener{Listener: ln, limits: limits, closed: make(chan struct{}), from: make(map[netip.Addr]int)}
}

// Close implements net.Listener. Connections stay open.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// Accept implements net.Listener. TCP connections are of type *[Conn].
func (l *Listener) Accept() (net.Conn, error) {
	pause := minPause
	for {
		conn, err := l.Listener.Accept()
		if err == nil {
			pause = minPause
			tcp, ok := conn.(*net.TCPConn)
			if !ok {
				return conn, nil
			}
			if c := l.admit(tcp); c != nil {
				return c, nil
			}
			_ = tcp.Close()
			continue
		}
		if !passing(err) {
			return nil, err
		}
		l.say("connections cannot be accepted", err)
		if l.evict(netip.Addr{}) {
			continue
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, maxPause)
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
}

// passing reports whether an error is temporary or about one connection, and not about
// the listener.
func passing(err error) bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EPERM, // the last by a firewall
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit counts a new connection. It returns nil if that is one too many.
func (l *Listener) admit(tcp *net.TCPConn) *Conn {
	c := &Conn{TCPConn: tcp, l: l, from: source(tcp)}
	l.mu.Lock()
	over, same := l.full(c.from)
	l.mu.Unlock()
	if over {
		l.say("connections are refused: too many are open", nil)
		if !l.evict(same) {
			return nil
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open++
	l.from[c.from]++
	c.place = l.idle.PushBack(c)
	return c
}

// full reports whether one more connection of an address would be too many, and whose
// connection would have to make room: one of the same address, or any.
func (l *Listener) full(from netip.Addr) (over bool, same netip.Addr) {
	counts := l.limits.PerAddress > 0 && from.IsValid() && (l.limits.Exempt == nil || !l.limits.Exempt(from))
	if counts && l.from[from] >= l.limits.PerAddress {
		return true, from
	}
	return l.limits.Total > 0 && l.open >= l.limits.Total, netip.Addr{}
}

// evict closes the connection that has been idle longest, of one address if it is
// given.
func (l *Listener) evict(of netip.Addr) bool {
	l.mu.Lock()
	var longest *Conn
	for e := l.idle.Front(); e != nil && longest == nil; e = e.Next() {
		if c := e.Value.(*Conn); !of.IsValid() || c.from == of {
			longest = c
		}
	}
	l.mu.Unlock()
	if longest == nil {
		return false
	}
	_ = longest.Close()
	return true
}

// say logs a problem at most once a minute.
func (l *Listener) say(what string, err error) {
	l.mu.Lock()
	now := time.Now()
	quiet := now.Sub(l.said) < sayEvery
	if !quiet {
		l.said = now
	}
	open := l.open
	l.mu.Unlock()
	if !quiet {
		slog.Warn(what, slog.Int("open", open), slog.Any("error", err))
	}
}

// source returns to whom a connection counts: for IPv6 to the network, since one person
// has all of it.
func source(tcp *net.TCPConn) netip.Addr {
	remote, ok := tcp.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	a := remote.AddrPort().Addr().Unmap().WithZone("")
	if network, err := a.Prefix(64); err == nil && a.Is6() {
		return network.Addr()
	}
	return a
}

// Conn is an accepted connection.
type Conn struct {
	*net.TCPConn
	l     *Listener
	from  netip.Addr
	place *list.Element // among the idle connections; nil if not idle; guarded by l.mu
	once  sync.Once
}

// SetIdle sets whether the connection is idle, so that it may be closed when there are
// too many. A new connection is idle.
func (c *Conn) SetIdle(idle bool) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	switch {
	case idle && c.place == nil:
		c.place = c.l.idle.PushBack(c)
	case !idle:
		c.l.forget(c)
	}
}

func (l *Listener) forget(c *Conn) {
	if c.place != nil {
		l.idle.Remove(c.place)
		c.place = nil
	}
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	err := c.TCPConn.Close()
	c.once.Do(func() {
		c.l.mu.Lock()
		defer c.l.mu.Unlock()
		c.l.open--
		if c.l.from[c.from]--; c.l.from[c.from] == 0 {
			delete(c.l.from, c.from)
		}
		c.l.forget(c)
	})
	return err
}
