package edge

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/guard"
	"knatter.dev/chat/internal/serve"
)

// Handler answers a request. rctx ends with the server. Errors are answered by problem
// documents; see [serve.ProblemOf].
type Handler func(rctx context.Context, ctx *fasthttp.RequestCtx) error

// target is the path and the method of a route. An empty method means any.
type target struct{ method, path string }

// router dispatches each request to the owner of its path: a handler of the connector,
// a function, or a file of the web client. All share one origin.
type router struct {
	ctx     context.Context // of all requests
	logger  *slog.Logger
	origins origins
	own     map[target]Handler
	proxy   *proxy
	assets  assets
}

// serve answers a request. fasthttp does not recover: a panic would end the process.
func (r *router) serve(ctx *fasthttp.RequestCtx) {
	if !hasBody(&ctx.Request.Header) {
		arrived(ctx)
	}
	err := guard.Call(r.ctx, r.logger, "a request", func() error { return r.route(ctx) })
	if err != nil {
		ctx.Response.ResetBody()
		problem(ctx, r.logger, err)
	}
	if serve.Later(ctx.Response.StatusCode()) && len(ctx.Response.Header.Peek("Retry-After")) == 0 {
		ctx.Response.Header.Set("Retry-After", "1") // even if a proxy in front of a function answered
	}
	if hasBody(&ctx.Request.Header) && ctx.UserValue(bodyRead) == nil {
		ctx.SetConnectionClose() // the rest of the request is never read
	}
}

// begin sets the headers of every answer.
func (r *router) begin(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	r.origins.share(ctx)
}

func (r *router) route(ctx *fasthttp.RequestCtx) error {
	r.begin(ctx)
	if !bytes.HasPrefix(ctx.Request.Header.Protocol(), []byte("HTTP/1.")) {
		ctx.SetConnectionClose()
		return refusal{Problem: serve.VersionNotSupported}
	}
	if isPreflight(ctx) {
		return r.origins.preflight(ctx)
	}
	path := string(ctx.Path())
	for _, method := range []string{string(ctx.Method()), ""} {
		if handle := r.own[target{method, path}]; handle != nil {
			return handle(r.ctx, ctx)
		}
	}
	if function := chat.FunctionFor(path); function != "" {
		return r.proxy.forward(r.ctx, ctx, function)
	}
	return r.assets.serve(ctx, path)
}

// unreadable answers what fasthttp cannot parse as a request. Its errors quote the
// input, perhaps with a token, so nobody gets to see them.
func (r *router) unreadable(ctx *fasthttp.RequestCtx, err error) {
	r.begin(ctx)
	slow := (net.Error)(nil)
	if tooLong := (*fasthttp.ErrSmallBuffer)(nil); errors.As(err, &tooLong) {
		err = refusal{Problem: serve.HeadersTooLarge}
	} else if errors.As(err, &slow) && slow.Timeout() {
		err = refusal{Problem: serve.TooSlow}
	} else {
		err = chat.Errorf(chat.Malformed, "not a valid HTTP request")
	}
	problem(ctx, r.logger, err)
}

// NotAllowed is the error for a method that a path does not have.
func NotAllowed(allow string) error {
	return refusal{Problem: serve.MethodNotAllowed, allow: allow}
}
