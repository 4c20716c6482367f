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

// Headers that are not passed on: those of one connection only, and those that say
// where a request comes from, which is for us to say.
var (
	hopHeaders  = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}
	edgeHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Real-Ip", "Expect", "Host"}
)

// Requests makes net/http's requests, as functions and decoders take them, of
// fasthttp's.
type Requests struct {
	trusted trusted
	bodies  *bodies
	timeout time.Duration // for a body to come
}

// Request is the request in net/http's form, as functions take it: with the path
// and the query alone, though the whole URL may stand in its first line, and with
// the client's one address as X-Forwarded-For. It has no body, see WithBody. Errors: Malformed.
func (q *Requests) Request(rctx context.Context, ctx *fasthttp.RequestCtx) (*http.Request, error) {
	target := url.URL{Scheme: "http", Host: string(ctx.Host()), RawQuery: string(ctx.URI().QueryString())}
	path, err := url.PathUnescape(string(ctx.URI().PathOriginal()))
	if err != nil {
		return nil, chat.Errorf(chat.Malformed, "the path is not one of a URL")
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

// bodyConfig gives a body its own time to come, apart from the headers'.
func (q *Requests) bodyConfig(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if !hasBody(h) {
		return fasthttp.RequestConfig{}
	}
	return fasthttp.RequestConfig{ReadTimeout: q.timeout}
}

// WithBody gives r the request's body, of at most limit bytes, for as long as f
// takes with it. Errors: TooLarge, Unavailable without room for it, Malformed, one
// for a body that does not come in time; f's.
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

// Bearer is the token of the Authorization header, if it has one: other schemes, as
// those by which browsers log in at proxies, are not ours.
func Bearer(ctx *fasthttp.RequestCtx) (token string, given bool) {
	for _, h := range ctx.Request.Header.PeekAll("Authorization") {
		if token, given = auth.Bearer(string(h)); given {
			return token, true
		}
	}
	return "", false
}
