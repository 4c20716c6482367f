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

// Handler answers a request. rctx ends when the server does. An error is answered by a
// problem document, see [serve.ProblemOf].
type Handler func(rctx context.Context, ctx *fasthttp.RequestCtx) error

// target is what a request asks for; any method if it has none.
type target struct{ method, path string }

// router has each request answered by whom its path belongs to: a handler of the
// connector's own, a function, or a file of the web client. All have one origin.
type router struct {
	ctx     context.Context // of all requests
	logger  *slog.Logger
	origins origins
	own     map[target]Handler
	proxy   *proxy
	assets  assets
}

// serve answers a request. fasthttp recovers from nothing: a panic would end the
// process.
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
		ctx.Response.Header.Set("Retry-After", "1") // whoever answered, perhaps what stands in front of a function
	}
	if hasBody(&ctx.Request.Header) && ctx.UserValue(bodyRead) == nil {
		ctx.SetConnectionClose() // what may still come of it is nobody's
	}
}

// begin sets the headers that every answer has.
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

// unreadable answers what fasthttp cannot read as a request. Its errors quote what was
// sent, a token perhaps: nobody gets to see them.
func (r *router) unreadable(ctx *fasthttp.RequestCtx, err error) {
	r.begin(ctx)
	slow := (net.Error)(nil)
	if tooLong := (*fasthttp.ErrSmallBuffer)(nil); errors.As(err, &tooLong) {
		err = refusal{Problem: serve.HeadersTooLarge}
	} else if errors.As(err, &slow) && slow.Timeout() {
		err = refusal{Problem: serve.TooSlow}
	} else {
		err = chat.Errorf(chat.Malformed, "this cannot be read as a request")
	}
	problem(ctx, r.logger, err)
}

// NotAllowed is the error for a method other than the one that a path has.
func NotAllowed(allow string) error {
	return refusal{Problem: serve.MethodNotAllowed, allow: allow}
}
