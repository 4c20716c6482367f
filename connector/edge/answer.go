package edge

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat/internal/serve"
)

// refusal is an error with an HTTP status for which the domain has no kind.
type refusal struct {
	serve.Problem
	allow string // the allowed methods
}

func (r refusal) Error() string { return r.Title }

// problem answers a request with err as a problem document, and logs it if the fault is
// ours.
func problem(ctx *fasthttp.RequestCtx, logger *slog.Logger, err error) {
	p := serve.ProblemOf(err)
	if refused, ok := errors.AsType[refusal](err); ok {
		p = refused.Problem
		if refused.allow != "" {
			ctx.Response.Header.Set("Allow", refused.allow)
		}
	} else if p.Status >= 500 {
		logger.Warn("request failed", "method", string(ctx.Method()), "path", serve.LogPath(string(ctx.Path())), "error", err)
	}
	if p.Status == http.StatusUnauthorized {
		ctx.Response.Header.Set("WWW-Authenticate", "Bearer")
	}
	if p.RetryAfter > 0 {
		ctx.Response.Header.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if err := write(ctx, "application/problem+json", p.Status, p); err != nil {
		logger.Error("answer", "error", err)
	}
}

// JSON answers a request with v.
func JSON(ctx *fasthttp.RequestCtx, status int, v any) error {
	return write(ctx, "application/json", status, v)
}

func write(ctx *fasthttp.RequestCtx, contentType string, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	ctx.Response.Header.Set("Cache-Control", "no-store")
	ctx.SetContentType(contentType)
	ctx.SetStatusCode(status)
	ctx.SetBody(body)
	return nil
}
