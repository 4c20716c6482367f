package embedded

import (
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type listener struct {
	net.Listener
	b *Broker
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, b: l.b}, nil
}

// conn is a client's connection as kfake has it. It watches the requests go by, and
// holds back the answers to appends until they are synced. kfake answers one
// request of a connection before it turns to the next, each by one Write.
type conn struct {
	net.Conn
	b *Broker

	head scanner // of the requests; used by the reading goroutine alone

	mu   sync.Mutex
	held []int32 // correlation ids of appends that have yet to be answered, in order
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.head.scan(p[:n], func(request []byte) {
		if correlation, ok := c.b.free.durable(request); ok {
			c.mu.Lock()
			c.held = append(c.held, correlation)
			c.mu.Unlock()
		}
	})
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if len(p) >= 8 && c.answers(int32(binary.BigEndian.Uint32(p[4:]))) {
		if err := c.b.syncer.wait(); err != nil {
			return 0, err // kfake drops the connection: who appended was not told that it is done
		}
	}
	return c.Conn.Write(p)
}

// answers reports whether an answer is to an append that is to be synced.
func (c *conn) answers(correlation int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.Index(c.held, correlation)
	c.held = c.held[at+1:] // those before will not be answered
	return at >= 0
}

// headBytes are enough of a request for its first topic's name.
const headBytes = 512

// scanner finds the beginning of each request in a stream of them.
type scanner struct {
	size    [4]byte
	sized   int    // bytes of size that have come
	left    int    // bytes of the request that have yet to come
	request []byte // its beginning
}

func (s *scanner) scan(p []byte, each func(request []byte)) {
	for len(p) > 0 {
		if s.sized < len(s.size) {
			n := copy(s.size[s.sized:], p)
			s.sized += n
			p = p[n:]
			if s.sized == len(s.size) {
				s.left = int(binary.BigEndian.Uint32(s.size[:]))
				s.request = s.request[:0]
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
			each(s.request)
			s.sized = 0
		}
	}
}

// free knows what needs no sync.
type free struct {
	ids atomic.Pointer[map[[16]byte]bool] // of the passing topics
}

// durable reports whether a request is an append whose answer has to wait for a sync:
// any, unless it is to one topic alone, and that is a passing one; and the request's
// correlation id. An append that wants no answer is none.
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
	if version < 13 || ids == nil { // topics by name: not our clients
		return correlation, true
	}
	topics := r.CompactArrayLen()
	id := r.Uuid()
	return correlation, topics != 1 || !r.Ok() || !(*ids)[id]
}
