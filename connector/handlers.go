package connector

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/edge"
	"knatter.dev/chat/connector/socket"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/names"
)

// subprotocol is the CloudEvents WebSocket binding with JSON events.
const subprotocol = "cloudevents.json"

// handle has the paths answered that are the connector's own.
func (c *Connector) handle() {
	in := &inlet{
		requests: c.edge, verifier: c.verifier, shares: c.shares, publisher: c.publisher,
		bodyBytes: c.cfg.MaxRequestBody, batch: min(c.cfg.Burst, c.cfg.UserBurst), timeout: c.cfg.BodyTimeout + c.cfg.FunctionTimeout,
	}
	c.edge.Handle("", "/v1/socket", c.upgrade)
	c.edge.Handle("", "/v1/events", in.serve)
	c.edge.Handle("", "/healthz", status("ok", func(context.Context) error { return nil }))
	c.edge.Handle("", "/readyz", status("ready", c.Ready))
	c.edge.Handle(http.MethodGet, "/.well-known/jwks.json", keys(c.verifier, c.cfg.FunctionTimeout))
}

// upgrade makes a session of a request.
func (c *Connector) upgrade(_ context.Context, ctx *fasthttp.RequestCtx) error {
	if !ctx.IsGet() {
		return edge.NotAllowed(http.MethodGet)
	}
	if c.draining.Load() {
		return chat.Errorf(chat.Unavailable, "draining")
	}
	handshake, err := socket.CheckHandshake(ctx, subprotocol)
	if err != nil {
		ctx.Response.Header.Set("Sec-WebSocket-Version", "13")
		return chat.Errorf(chat.Malformed, "%w", err)
	}
	if err := c.edge.CheckOrigin(ctx); err != nil {
		return err
	}
	token, given := edge.Bearer(ctx)
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
	return nil
}

// status answers with a word unless check has an error.
func status(word string, check func(context.Context) error) edge.Handler {
	return func(rctx context.Context, ctx *fasthttp.RequestCtx) error {
		if err := check(rctx); err != nil {
			return err
		}
		return edge.JSON(ctx, http.StatusOK, map[string]string{"status": word})
	}
}

// keys answers with the public keys by which tokens are checked here, as accounts
// publishes them: functions that have just started need not wait for that one to
// start too. Cache-Control: no-cache asks accounts.
func keys(verifier *auth.Verifier, timeout time.Duration) edge.Handler {
	return func(rctx context.Context, ctx *fasthttp.RequestCtx) error {
		rctx, cancel := context.WithTimeout(rctx, timeout)
		defer cancel()
		latest := strings.Contains(string(ctx.Request.Header.Peek("Cache-Control")), "no-cache")
		set, err := verifier.Keys(rctx, latest)
		if err != nil {
			return err
		}
		err = edge.JSON(ctx, http.StatusOK, set)
		ctx.Response.Header.Set("Cache-Control", "public, max-age=300")
		return err
	}
}
