package main

import (
	"errors"

	"golang.org/x/sys/unix"
)

// event handles what epoll says of a descriptor.
func (w *worker) event(fd int, events uint32) {
	i := int(fds[fd])
	s := &w.sockets[i]
	if s.fd != fd {
		return // dropped since
	}
	if s.stage == connecting && events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		if code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
			w.problem("connecting: %v", errors.Join(err, unix.Errno(code)))
			w.drop(i, now()+reconnectPause)
			return
		}
		s.stage = shaking
		w.write(i, handshake(w.plan.Addresses[w.connector(i)], w.plan.Tokens[i]))
		if s.fd >= 0 && len(s.out) == 0 {
			_ = w.watch(unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN)
		}
		return
	}
	if events&unix.EPOLLOUT != 0 && len(s.out) > 0 {
		out := s.out
		s.out = nil
		w.write(i, out)
		if s.fd >= 0 && len(s.out) == 0 {
			_ = w.watch(unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN)
		}
	}
	if s.fd >= 0 && events&(unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		w.read(i)
	}
}

func (w *worker) write(i int, b []byte) {
	s := &w.sockets[i]
	if len(s.out) > 0 {
		s.out = append(s.out, b...)
		return
	}
	n, err := unix.Write(s.fd, b)
	switch {
	case errors.Is(err, unix.EAGAIN):
		n = 0
	case err != nil:
		return // the read says so too
	}
	if n < len(b) {
		s.out = append(s.out, b[n:]...)
		_ = w.watch(unix.EPOLL_CTL_MOD, s.fd, unix.EPOLLIN|unix.EPOLLOUT)
	}
}

func (w *worker) read(i int) {
	s := &w.sockets[i]
	b := w.buffer
	kept := copy(b, s.in)
	n, err := unix.Read(s.fd, b[kept:])
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if err != nil || n == 0 {
		w.checks.Disconnects++
		w.problem("the server ended a connection: %v", err)
		w.drop(i, now()+reconnectPause)
		return
	}
	t := now()
	b = b[:kept+n]
	if s.stage == shaking {
		n, err := accepted(b)
		if err != nil {
			w.problem("%v", err)
			w.drop(i, t+reconnectPause)
			return
		}
		if n > 0 {
			b = b[n:]
			s.stage = subscribing
		}
	}
	for s.stage >= subscribing && len(b) > 0 {
		op, payload, n, err := next(b)
		if err != nil {
			w.problem("%v", err)
			w.drop(i, t+reconnectPause)
			return
		}
		if n == 0 {
			break
		}
		b = b[n:]
		switch op {
		case opText:
			w.text(i, payload, t)
		case opPing:
			w.write(i, appendFrame(nil, opPong, payload))
		case opClose:
			w.checks.Disconnects++
			code := 0
			if len(payload) >= 2 {
				code = int(payload[0])<<8 | int(payload[1])
			}
			w.problem("closed with %d %s", code, payload[min(2, len(payload)):])
			w.drop(i, t+reconnectPause)
		}
	}
	if s.fd < 0 {
		return
	}
	if len(b) == readSize {
		w.problem("a frame of over %d bytes", readSize)
		w.drop(i, t+reconnectPause)
		return
	}
	if len(b) > 0 || s.in != nil {
		s.in = append(s.in[:0], b...)
		if len(s.in) == 0 {
			s.in = nil
		}
	}
}
