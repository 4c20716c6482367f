package connector

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
)

const (
	freeBody    = 4 << 10 // bytes of a body that count for nothing, so that small ones get in whatever others do
	bodiesShare = 4       // one address may hold this part of all
)

// bodies bounds the memory of request bodies that are being read or answered.
// Anybody can begin one, so what counts is what has come of it, not what it says
// that will. They hold [Config.BodyBytes] together at most, and freeBody for each
// connection; one address holds a quarter of them at most.
type bodies struct {
	total int

	mu   sync.Mutex
	held int
	of   map[netip.Addr]int
}

func newBodies(total int) *bodies { return &bodies{total: total, of: make(map[netip.Addr]int)} }

// take takes n bytes for an address; false when there are none.
func (b *bodies) take(from netip.Addr, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held+n > b.total || b.of[from]+n > b.total/bodiesShare {
		return false
	}
	b.held += n
	b.of[from] += n
	return true
}

func (b *bodies) give(from netip.Addr, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= n
	if b.of[from] -= n; b.of[from] == 0 {
		delete(b.of, from)
	}
}

// bodyRead is the name of what a request knows when its body has been read.
const bodyRead = "body read"

// errSlowBody is a body that did not come in time.
var errSlowBody = errors.New("the body does not come")

// bodyConfig gives a body its own time to come, apart from the headers'.
func (c *Connector) bodyConfig(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if !hasBody(h) {
		return fasthttp.RequestConfig{}
	}
	return fasthttp.RequestConfig{ReadTimeout: c.cfg.BodyTimeout}
}

// hasBody reports whether a body follows the headers; one in chunks has no length.
func hasBody(h *fasthttp.RequestHeader) bool { return h.ContentLength() > 0 || h.ContentLength() == -1 }

// withBody gives r the request's body, of at most limit bytes, for as long as f
// takes with it. Errors: TooLarge, Unavailable without room for it, Malformed,
// errSlowBody; f's.
func (c *Connector) withBody(ctx *fasthttp.RequestCtx, r *http.Request, limit int, f func(*http.Request) error) error {
	if !hasBody(&ctx.Request.Header) {
		return f(r)
	}
	from := c.proxies.peer(remoteAddress(ctx), &ctx.Request.Header).addr
	held := 0
	defer func() { c.bodies.give(from, held) }()
	body, err := c.readBody(ctx, limit, func(n int) bool {
		if !c.bodies.take(from, n) {
			return false
		}
		held += n
		return true
	})
	if err != nil {
		return err
	}
	ctx.SetUserValue(bodyRead, true)
	arrived(ctx)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return f(r)
}

// readBody reads the body into a buffer that grows with it; what is over freeBody
// has to be taken.
func (c *Connector) readBody(ctx *fasthttp.RequestCtx, limit int, take func(int) bool) ([]byte, error) {
	length := ctx.Request.Header.ContentLength()
	if length > limit {
		return nil, tooLarge(limit)
	}
	most := limit + 1 // one more tells a body in chunks that is too large
	if length > 0 {
		most = length
	}
	stream := ctx.RequestBodyStream()
	buf := make([]byte, 0, min(most, freeBody))
	for {
		if len(buf) == cap(buf) && len(buf) < most {
			size := min(2*cap(buf), most)
			if !take(size - cap(buf)) {
				return nil, chat.Errorf(chat.Unavailable, "no room for the request's body")
			}
			buf = append(make([]byte, 0, size), buf...)
		}
		n, err := stream.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		var slow net.Error
		switch {
		case len(buf) > limit:
			return nil, tooLarge(limit)
		case len(buf) == length:
			return buf, nil
		case errors.Is(err, io.EOF) && length < 0:
			return buf, nil
		case errors.As(err, &slow) && slow.Timeout():
			return nil, errSlowBody
		case err != nil:
			return nil, chat.Errorf(chat.Malformed, "the body ends too early")
		}
	}
}

func tooLarge(limit int) error { return chat.Errorf(chat.TooLarge, "the body is over %d bytes", limit) }
