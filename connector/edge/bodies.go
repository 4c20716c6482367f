package edge

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
)

const (
	freeBody    = 4 << 10 // bytes of a body that are not counted, so that small bodies always get in
	bodiesShare = 4       // one address may hold this fraction of all
)

// bodies limits the memory of request bodies that are being read or answered. Anybody
// can begin one, so what counts is what has arrived, and not what is announced.
// Together they hold at most [Config.BodyBytes], and freeBody for each connection; one
// address holds at most a quarter of that.
type bodies struct {
	total int

	mu   sync.Mutex
	held int
	of   map[netip.Addr]int
}

func newBodies(total int) *bodies { return &bodies{total: total, of: make(map[netip.Addr]int)} }

// take takes n bytes for an address, and reports whether there were so many.
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

// errSlowBody means that a body did not arrive in time.
var errSlowBody = refusal{Problem: serve.TooSlow}

// hasBody reports whether a body follows the headers; one in chunks has no length.
func hasBody(h *fasthttp.RequestHeader) bool { return h.ContentLength() > 0 || h.ContentLength() == -1 }

// readBody reads the body into a buffer that grows with it. Bytes over freeBody have to
// be taken.
func readBody(ctx *fasthttp.RequestCtx, limit int, take func(int) bool) ([]byte, error) {
	length := ctx.Request.Header.ContentLength()
	if length > limit {
		return nil, tooLarge(limit)
	}
	most := limit + 1 // one more byte shows that a chunked body is too large
	if length > 0 {
		most = length
	}
	stream := ctx.RequestBodyStream()
	buf := make([]byte, 0, min(most, freeBody))
	for {
		if len(buf) == cap(buf) && len(buf) < most {
			size := min(2*cap(buf), most)
			if !take(size - cap(buf)) {
				return nil, chat.Errorf(chat.Unavailable, "too many request bodies at once")
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
			return nil, chat.Errorf(chat.Malformed, "the body is shorter than announced")
		}
	}
}

func tooLarge(limit int) error {
	return chat.Errorf(chat.TooLarge, "the body is larger than %d bytes", limit)
}
