package connector

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
)

// Headers that are not passed on: those of one connection only, and those that say
// where a request comes from, which is for us to say.
var (
	hopHeaders  = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}
	edgeHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Real-Ip", "Expect", "Host"}
)

// request is the request in net/http's form, as functions take it: with the path
// and the query alone, though the whole URL may stand in its first line, and with
// the client's one address as X-Forwarded-For.
func (c *Connector) request(rctx context.Context, ctx *fasthttp.RequestCtx) (*http.Request, error) {
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
	r.Header.Set("X-Forwarded-For", c.proxies.peer(remoteAddress(ctx), &ctx.Request.Header).addr.String())
	return r, nil
}

// forward passes a request to a function and its answer back.
func (c *Connector) forward(ctx *fasthttp.RequestCtx, function string) {
	rctx, cancel := context.WithTimeout(c.ctx, c.cfg.BodyTimeout+c.cfg.FunctionTimeout)
	defer cancel()
	r, err := c.request(rctx, ctx)
	if err == nil {
		err = c.withBody(ctx, r, serve.MaxRequest, func(r *http.Request) error { return c.passOn(ctx, function, r) })
	}
	if err != nil {
		c.problem(ctx, err)
	}
}

// passOn calls a function and answers as it does.
func (c *Connector) passOn(ctx *fasthttp.RequestCtx, function string, r *http.Request) error {
	resp, err := c.roundTrip(function, r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := readAll(resp)
	if err != nil {
		return chat.Errorf(chat.Unavailable, "%s: %w", function, err)
	}
	for k, values := range resp.Header {
		for _, v := range values {
			ctx.Response.Header.Add(k, v)
		}
	}
	for _, h := range hopHeaders {
		ctx.Response.Header.Del(h)
	}
	if len(body) == 0 && resp.Header.Get("Content-Type") == "" {
		ctx.Response.Header.SetNoDefaultContentType(true)
	}
	ctx.SetStatusCode(resp.StatusCode)
	ctx.Response.SetBodyRaw(body)
	return nil
}

// keys answers with the public keys by which tokens are checked here, as accounts
// publishes them: functions that have just started need not wait for that one to
// start too. Cache-Control: no-cache asks accounts.
func (c *Connector) keys(ctx *fasthttp.RequestCtx) {
	rctx, cancel := context.WithTimeout(c.ctx, c.cfg.FunctionTimeout)
	defer cancel()
	latest := strings.Contains(string(ctx.Request.Header.Peek("Cache-Control")), "no-cache")
	set, err := c.verifier.Keys(rctx, latest)
	if err != nil {
		c.problem(ctx, err)
		return
	}
	c.json(ctx, http.StatusOK, set)
	ctx.Response.Header.Set("Cache-Control", "public, max-age=300")
}

// roundTrip calls a function.
func (c *Connector) roundTrip(function string, r *http.Request) (*http.Response, error) {
	rt := c.functions[function]
	if rt == nil {
		return nil, chat.Errorf(chat.Unavailable, "no function %s", function)
	}
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return nil, chat.Errorf(chat.Unavailable, "%s: %w", function, err)
	}
	return resp, nil
}
