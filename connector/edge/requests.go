package edge

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
)

// Headers that are not forwarded: those of one connection, and those that say where a
// request comes from, which is for us to say.
var (
	hopHeaders  = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}
	edgeHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Real-Ip", "Expect", "Host"}
)

// Requests converts fasthttp's requests to those of net/http, for functions and
// decoders.
type Requests struct {
	trusted trusted
	bodies  *bodies
	timeout time.Duration // maximum time for a body to arrive
}

// Request returns the request in the form of net/http, for functions: with only the
// path and the query, even if its first line has a whole URL, and with the client's
// address as the only X-Forwarded-For. It has no body; see WithBody. Errors: Malformed.
func (q *Requests) Request(rctx context.Context, ctx *fasthttp.RequestCtx) (*http.Request, error) {
	target := url.URL{Scheme: "http", Host: string(ctx.Host()), RawQuery: string(ctx.URI().QueryString())}
	path, err := url.PathUnescape(string(ctx.URI().PathOriginal()))
	if err != nil {
		return nil, chat.Errorf(chat.Malformed, "the path is not valid in a URL")
	}
	target.Path, target.RawPath = path, string(ctx.URI().PathOriginal())
	r := (&http.Request{
		Method: string(ctx.Method()), URL: &target, Host: target.Host, RemoteAddr: ctx.RemoteAddr().String(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header),
		Body: http.NoBody,
	}).WithContext(rctx)
	for k, v := range ctx.Request.Header.All() {
		r.Header.Add(string(k), string(v))
	}
	for _, line := range r.Header.Values("Connection") {
		for name := range strings.SplitSeq(line, ",") {
			r.Header.Del(strings.TrimSpace(name))
		}
	}
	for _, h := range hopHeaders {
		r.Header.Del(h)
	}
	for _, h := range edgeHeaders {
		r.Header.Del(h)
	}
	r.Header.Set("X-Forwarded-For", q.trusted.peer(remoteAddress(ctx), &ctx.Request.Header).addr.String())
	return r, nil
}

// bodyConfig gives bodies a time limit separate from that of headers.
func (q *Requests) bodyConfig(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if !hasBody(h) {
		return fasthttp.RequestConfig{}
	}
	return fasthttp.RequestConfig{ReadTimeout: q.timeout}
}

// WithBody calls f with the request's body in r, of at most limit bytes. Errors:
// TooLarge, Unavailable if there is no memory for it, Malformed, an error for a body
// that does not arrive in time, and those of f.
func (q *Requests) WithBody(ctx *fasthttp.RequestCtx, r *http.Request, limit int, f func(*http.Request) error) error {
	if !hasBody(&ctx.Request.Header) {
		return f(r)
	}
	from := q.trusted.peer(remoteAddress(ctx), &ctx.Request.Header).addr
	held := 0
	defer func() { q.bodies.give(from, held) }()
	body, err := readBody(ctx, limit, func(n int) bool {
		if !q.bodies.take(from, n) {
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

// Bearer returns the token of the Authorization header, if there is one. Other schemes,
// such as those for logging in at proxies, are not ours.
func Bearer(ctx *fasthttp.RequestCtx) (token string, given bool) {
	for _, h := range ctx.Request.Header.PeekAll("Authorization") {
		if token, given = auth.Bearer(string(h)); given {
			return token, true
		}
	}
	return "", false
}
