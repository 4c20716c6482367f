package connector

import (
	"net"
	"testing"
	"time"

	"knatter.dev/chat/connector/socket"
	"knatter.dev/chat/internal/auth"
)

// The clock of the machine may be set, forward or backward, at any time. Only when a
// token expires is the clock's to say.
func TestSweepDoesNotGoByTheClock(t *testing.T) {
	c, err := New(Config{Heartbeat: 10 * time.Second}, Parts{})
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Now()
	open := func(t *testing.T) (*session, <-chan byte) {
		near, far := net.Pipe()
		t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
		s := c.newSession("s", near)
		s.claims = auth.Claims{User: "alice", Expires: clock.Add(24 * time.Hour)}
		frames := make(chan byte, 16)
		go func() {
			var b [128]byte
			for {
				n, err := far.Read(b[:])
				if err != nil {
					close(frames)
					return
				}
				if n > 0 {
					frames <- b[0]
				}
			}
		}()
		return s, frames
	}
	for _, step := range []time.Duration{0, 12 * time.Hour, -12 * time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			s, frames := open(t)
			begun := s.opened
			s.sweep(clock.Add(step), begun+9*time.Second)
			select {
			case f := <-frames:
				t.Fatalf("%x was sent before a heartbeat was over", f)
			default:
			}
			s.sweep(clock.Add(step), begun+11*time.Second)
			if f := <-frames; f != socket.Frame(socket.Ping, nil)[0] {
				t.Errorf("%x in place of a ping", f)
			}
			s.sweep(clock.Add(step), begun+19*time.Second)
			if s.ended() {
				t.Error("a peer was closed that has not been silent for two heartbeats")
			}
			s.sweep(clock.Add(step), begun+21*time.Second)
			if !s.ended() {
				t.Error("a silent peer goes on")
			}
		})
	}
	s, _ := open(t)
	s.sweep(clock.Add(25*time.Hour), s.opened)
	if !s.ended() {
		t.Error("an expired token goes on")
	}
}
