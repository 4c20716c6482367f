package main

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// socket is one session's connection. It has no goroutine and, when nothing is
// under way, no buffer: the worker's loop reads and writes for all of them.
type socket struct {
	fd    int // -1 when there is none
	stage stage
	in    []byte // a frame that is not whole yet
	out   []byte // what the kernel would not take yet
	back  int64  // when to connect (again); 0 when it need not
	since int64  // of the last connecting but the first: what was due while it was away is counted from here
	last  int64  // sequence of the last message received

	waiting []int64   // dues of messages to be sent when it is live
	unacked []message // sent, not acknowledged
	n       uint32    // messages, and events about them, sent so far
	acked   uint32    // of them
	refused uint32
	resent  uint32 // the highest n that was sent again

	reading bool   // a read mark is to be sent soon
	seen    int64  // sequence of the last message posted
	marks   uint32 // read marks sent so far
	logged  uint32 // of them; the others were overtaken
	mark    int64  // sequence of the last one that is acknowledged
	typed   uint32 // times that typing was said
}

type stage uint8

const (
	closed stage = iota
	connecting
	shaking     // hands
	subscribing // or waiting to be told that the session is open
	live
)

// message is an event that waits for its answer.
type message struct {
	kind  kind
	n     uint32
	due   int64
	phase int
	frame []byte
	about *subject // nil if it is about no message
}

// dial begins to connect. Errors are the system's, about addresses or limits.
func dial(source, address unix.SockaddrInet4) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	// The port is chosen when connecting, so that all are free for this server.
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
	)
	if err == nil && source.Addr != [4]byte{} {
		err = unix.Bind(fd, &source)
	}
	if err == nil {
		if err = unix.Connect(fd, &address); errors.Is(err, unix.EINPROGRESS) {
			err = nil
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connecting: %w", err)
	}
	return fd, nil
}

// hangUp closes at once, without TCP's waiting state: thousands of them would use
// up the ports.
func hangUp(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	_ = unix.Close(fd)
}

func resolve(address string) (unix.SockaddrInet4, error) {
	a, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return unix.SockaddrInet4{}, fmt.Errorf("address: %w", err)
	}
	s := unix.SockaddrInet4{Port: a.Port}
	copy(s.Addr[:], a.IP.To4())
	return s, nil
}
