package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"knatter.dev/chat/internal/listen"
)

type listener struct {
	*listen.Listener
	b *Broker
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newConn(c.(*listen.Conn), l.b), nil
}

// conn is a client's connection, as kfake sees it. It observes the requests, and holds
// back answers to appends, and answers with events, until what they are about is
// synced. kfake answers one request of a connection before it reads the next, each with
// one Write.
//
// A connection is a guest's until its client has shown the log's secret.
type conn struct {
	*listen.Conn
	b    *Broker
	once sync.Once

	// Used by the reading goroutine only.
	head     scanner // of the requests
	ahead    []byte  // not yet read by kfake
	login    login
	welcomed bool // the log-in of a guest was put into ahead

	mu   sync.Mutex
	held []held // unanswered requests, in order
}

// held is a request whose answer may have to wait for a sync.
type held struct {
	correlation int32
	fetch       int16 // version of a fetch; -1 for an append
}

func newConn(c *listen.Conn, b *Broker) *conn { return &conn{Conn: c, b: b} }

func (c *conn) Read(p []byte) (int, error) {
	if len(c.ahead) == 0 && !c.login.done.Load() {
		if err := c.readGuest(); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				slog.Debug("refused a client of the log", slog.Any("error", err))
			}
			return 0, err
		}
	}
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p)
	if scanned := c.head.scan(p[:n], c.pass); scanned != nil {
		return 0, scanned
	}
	return n, err
}

// readGuest reads ahead by one request. kfake gets the log-in of a guest together with
// the first request: whoever requests nothing costs it nothing.
func (c *conn) readGuest() error {
	var size [4]byte
	if _, err := io.ReadFull(c.Conn, size[:]); err != nil {
		return err
	}
	if c.login.done.Load() { // by the request before this one
		c.ahead = size[:]
		return c.head.scan(size[:], c.pass)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > guestRequest {
		return fmt.Errorf("a request of %d bytes without the log's secret", n)
	}
	request := make([]byte, n)
	if _, err := io.ReadFull(c.Conn, request); err != nil {
		return err
	}
	c.SetIdle(false) // the connection that is idle longest makes room for others
	c.SetIdle(true)
	var welcome []byte
	if !c.welcomed && !c.b.private {
		welcome, c.welcomed = c.login.welcome(), true
	}
	if err := c.login.note(request); err != nil {
		return err
	}
	request, err := c.b.guests.admit(request, c.b.stop)
	if err != nil {
		return err
	}
	if err := c.pass(request); err != nil {
		return err
	}
	c.ahead = append(binary.BigEndian.AppendUint32(welcome, uint32(len(request))), request...)
	return nil
}

// pass sees each request before kfake does.
func (c *conn) pass(request []byte) error {
	if len(request) < 2 || kmsg.RequestForKey(int16(binary.BigEndian.Uint16(request))) == nil {
		return errors.New("not a valid request") // which kfake does not survive
	}
	if c.b.syncer == nil {
		return nil
	}
	h := held{fetch: -1}
	var waits bool
	if r := (kbin.Reader{Src: request}); r.Int16() == int16(kmsg.Fetch) {
		h.fetch, h.correlation = r.Int16(), r.Int32()
		waits = r.Ok()
	} else {
		h.correlation, waits = c.b.free.durable(request)
	}
	if waits {
		c.mu.Lock()
		c.held = append(c.held, h)
		c.mu.Unlock()
	}
	return nil
}

func (c *conn) Write(p []byte) (int, error) {
	switch a := c.login.next(); {
	case a.kind == ours:
		return len(p), nil
	case a.kind == lastStep && a.accepted(p):
		c.SetIdle(false) // it makes room for nobody
		c.login.done.Store(true)
	}
	if c.waits(p) {
		if err := c.b.syncer.wait(); err != nil {
			return 0, err // kfake closes the connection, so the append stays unacknowledged
		}
	}
	if !c.login.done.Load() {
		c.b.guests.answered(len(p))
	}
	return c.Conn.Write(p)
}

// Close implements net.Conn. kfake closes the connection of a client that it refuses;
// the client gets the reason.
func (c *conn) Close() error {
	c.once.Do(func() {
		if a := c.login.next(); (a.kind == step || a.kind == lastStep) && !c.b.stopped() {
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = c.Conn.Write(a.refusal()) // the client may be gone
		}
	})
	return c.Conn.Close()
}

// waits reports whether an answer has to wait for a sync: an answer to an append, or
// one with events. Nobody may see what a power cut could take back.
func (c *conn) waits(answer []byte) bool {
	if len(answer) < 8 {
		return false
	}
	correlation := int32(binary.BigEndian.Uint32(answer[4:]))
	c.mu.Lock()
	at := slices.IndexFunc(c.held, func(h held) bool { return h.correlation == correlation })
	fetch := int16(-1)
	if at >= 0 {
		fetch = c.held[at].fetch
	}
	c.held = c.held[at+1:] // earlier ones get no answer
	c.mu.Unlock()
	return at >= 0 && (fetch < 0 || c.b.free.brings(answer[8:], fetch))
}

// maxRequest is the maximum size of a request in bytes, as in Kafka.
const maxRequest = 100 << 20

// headBytes is enough of a request to include its first topic's name.
const headBytes = 512

// scanner finds the beginning of each request in a stream of requests.
type scanner struct {
	size    [4]byte
	sized   int    // bytes of the size field read so far
	left    int    // bytes of the request still to come
	request []byte // its beginning
}

func (s *scanner) scan(p []byte, each func(request []byte) error) error {
	for len(p) > 0 {
		if s.sized < len(s.size) {
			n := copy(s.size[s.sized:], p)
			s.sized += n
			p = p[n:]
			if s.sized == len(s.size) {
				s.left = int(binary.BigEndian.Uint32(s.size[:]))
				s.request = s.request[:0]
				if s.left > maxRequest {
					return fmt.Errorf("a request of %d bytes", s.left)
				}
			}
			continue
		}
		n := min(len(p), s.left)
		if room := headBytes - len(s.request); room > 0 {
			s.request = append(s.request, p[:min(n, room)]...)
		}
		s.left -= n
		p = p[n:]
		if s.left == 0 {
			s.sized = 0
			if err := each(s.request); err != nil {
				return err
			}
		}
	}
	return nil
}

// free decides what needs no sync.
type free struct {
	ids atomic.Pointer[map[[16]byte]bool] // of the transient topics
}

// durable reports whether a request is an append whose answer has to wait for a sync,
// and returns the request's correlation id. That is any append that wants an answer,
// except one to a transient topic alone.
func (f *free) durable(request []byte) (correlation int32, ok bool) {
	r := kbin.Reader{Src: request}
	key, version := r.Int16(), r.Int16()
	correlation = r.Int32()
	if key != int16(kmsg.Produce) || !r.Ok() {
		return correlation, false
	}
	r.NullableString() // the client's id
	flexible := version >= 9
	if flexible {
		kmsg.SkipTags(&r)
		r.CompactNullableString() // a transaction's id
	} else {
		r.NullableString()
	}
	acks := r.Int16()
	r.Int32() // timeout
	if !r.Ok() {
		return correlation, true
	}
	if acks == 0 {
		return correlation, false
	}
	ids := f.ids.Load()
	if version < 13 || ids == nil { // topics by name, which our clients do not use
		return correlation, true
	}
	topics := r.CompactArrayLen()
	id := r.Uuid()
	return correlation, topics != 1 || !r.Ok() || !(*ids)[id]
}

// brings reports whether an answer to a fetch has records of a topic that is not
// transient.
func (f *free) brings(answer []byte, version int16) bool {
	fetched := kmsg.FetchResponse{Version: version}
	if fetched.IsFlexible() {
		r := kbin.Reader{Src: answer}
		kmsg.SkipTags(&r)
		answer = r.Src
	}
	ids := f.ids.Load()
	if fetched.UnsafeReadFrom(answer) != nil || ids == nil {
		return true
	}
	for i := range fetched.Topics {
		t := &fetched.Topics[i]
		if !(*ids)[t.TopicID] && slices.ContainsFunc(t.Partitions, func(p kmsg.FetchResponseTopicPartition) bool { return len(p.RecordBatches) > 0 }) {
			return true
		}
	}
	return false
}
