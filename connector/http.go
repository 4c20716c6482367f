package connector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/socket"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/guard"
	"knatter.dev/chat/internal/names"
	"knatter.dev/chat/internal/serve"
)

// subprotocol is the CloudEvents WebSocket binding with JSON events.
const subprotocol = "cloudevents.json"

// serveHTTP answers a request. fasthttp recovers from nothing: a panic would end
// the process.
func (c *Connector) serveHTTP(ctx *fasthttp.RequestCtx) {
	if !hasBody(&ctx.Request.Header) {
		arrived(ctx)
	}
	err := guard.Call(c.ctx, c.logger, "a request", func() error {
		c.route(ctx)
		return nil
	})
	if err != nil {
		ctx.Response.ResetBody()
		c.problem(ctx, err)
	}
	if serve.Later(ctx.Response.StatusCode()) && len(ctx.Response.Header.Peek("Retry-After")) == 0 {
		ctx.Response.Header.Set("Retry-After", "1") // whoever answered, perhaps what stands in front of a function
	}
	if hasBody(&ctx.Request.Header) && ctx.UserValue(bodyRead) == nil {
		ctx.SetConnectionClose() // what may still come of it is nobody's
	}
}

// route is the one origin for everything.
func (c *Connector) route(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	c.shareWithOrigin(ctx)
	p := string(ctx.Path())
	switch {
	case !bytes.HasPrefix(ctx.Request.Header.Protocol(), []byte("HTTP/1.")):
		ctx.SetConnectionClose()
		c.refuse(ctx, serve.VersionNotSupported)
	case isPreflight(ctx):
		c.preflight(ctx)
	case p == "/v1/socket":
		c.upgrade(ctx)
	case p == "/v1/events":
		c.events(ctx)
	case p == "/healthz":
		c.json(ctx, http.StatusOK, map[string]string{"status": "ok"})
	case p == "/readyz":
		if err := c.Ready(ctx); err != nil {
			c.problem(ctx, err)
			return
		}
		c.json(ctx, http.StatusOK, map[string]string{"status": "ready"})
	case p == "/.well-known/jwks.json" && ctx.IsGet():
		c.keys(ctx)
	case chat.FunctionFor(p) != "":
		c.forward(ctx, chat.FunctionFor(p))
	default:
		c.static(ctx, p)
	}
}

func (c *Connector) upgrade(ctx *fasthttp.RequestCtx) {
	switch {
	case !ctx.IsGet():
		c.notAllowed(ctx, http.MethodGet)
		return
	case c.draining.Load():
		c.problem(ctx, chat.Errorf(chat.Unavailable, "draining"))
		return
	}
	handshake, err := socket.CheckHandshake(ctx, subprotocol)
	if err != nil {
		ctx.Response.Header.Set("Sec-WebSocket-Version", "13")
		c.problem(ctx, chat.Errorf(chat.Malformed, "%w", err))
		return
	}
	if !c.allowedOrigin(ctx) {
		c.problem(ctx, chat.Errorf(chat.Forbidden, "origin not allowed"))
		return
	}
	token, given := bearer(ctx)
	handshake.Accept(ctx, func(conn net.Conn) {
		s := c.newSession(names.NewSession(), conn)
		if !c.enter(s) {
			return
		}
		if given {
			s.authenticate(token)
		}
		// A goroutine of its own lets the server release what the request took.
		go s.read()
	})
}

// bearer is the token of the Authorization header, if it has one: other schemes, as
// those by which browsers log in at proxies, are not ours.
func bearer(ctx *fasthttp.RequestCtx) (token string, given bool) {
	for _, h := range ctx.Request.Header.PeekAll("Authorization") {
		if token, given = auth.Bearer(string(h)); given {
			return token, true
		}
	}
	return "", false
}

func (c *Connector) events(ctx *fasthttp.RequestCtx) {
	if !ctx.IsPost() {
		c.notAllowed(ctx, http.MethodPost)
		return
	}
	rctx, cancel := context.WithTimeout(c.ctx, c.cfg.BodyTimeout+c.cfg.FunctionTimeout)
	defer cancel()
	r, err := c.request(rctx, ctx)
	if err != nil {
		c.problem(ctx, err)
		return
	}
	claims, err := c.verifier.Request(r) // before the body is read: who holds much of our memory must have logged in
	if err == nil {
		err = c.withBody(ctx, r, c.cfg.MaxRequestBody, func(r *http.Request) error { return c.publishHTTP(ctx, r, claims) })
	}
	if err != nil {
		c.problem(ctx, err)
	}
}

func (c *Connector) problem(ctx *fasthttp.RequestCtx, err error) {
	if errors.Is(err, errSlowBody) {
		c.refuse(ctx, serve.TooSlow)
		return
	}
	p := serve.ProblemOf(err)
	if p.Status >= 500 {
		c.logger.Warn("request failed", "method", string(ctx.Method()), "path", serve.LogPath(string(ctx.Path())), "error", err)
	}
	if p.Status == http.StatusUnauthorized {
		ctx.Response.Header.Set("WWW-Authenticate", "Bearer")
	}
	c.respond(ctx, "application/problem+json", p.Status, p)
}

// badRequest answers what fasthttp cannot read as a request. Its errors quote what
// was sent, a token perhaps: nobody gets to see them.
func (c *Connector) badRequest(ctx *fasthttp.RequestCtx, err error) {
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	c.shareWithOrigin(ctx)
	if tooLong := (*fasthttp.ErrSmallBuffer)(nil); errors.As(err, &tooLong) {
		c.refuse(ctx, serve.HeadersTooLarge)
		return
	}
	if slow := (net.Error)(nil); errors.As(err, &slow) && slow.Timeout() {
		c.refuse(ctx, serve.TooSlow)
		return
	}
	c.problem(ctx, chat.Errorf(chat.Malformed, "this cannot be read as a request"))
}

func (c *Connector) notAllowed(ctx *fasthttp.RequestCtx, allow string) {
	ctx.Response.Header.Set("Allow", allow)
	c.refuse(ctx, serve.MethodNotAllowed)
}

func (c *Connector) refuse(ctx *fasthttp.RequestCtx, p serve.Problem) {
	c.respond(ctx, "application/problem+json", p.Status, p)
}

func (c *Connector) json(ctx *fasthttp.RequestCtx, status int, v any) {
	c.respond(ctx, "application/json", status, v)
}

func (c *Connector) respond(ctx *fasthttp.RequestCtx, contentType string, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		c.logger.Error("answer", "error", err)
		status = http.StatusInternalServerError
	}
	ctx.Response.Header.Set("Cache-Control", "no-store")
	ctx.SetContentType(contentType)
	ctx.SetStatusCode(status)
	ctx.SetBody(body)
}
