package edge

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
)

// maxAnswer is the maximum size for which memory is allocated in advance.
const maxAnswer = 8 << 20

// Functions are the request functions, by name; see [chat.FunctionFor].
type Functions map[string]http.RoundTripper

// Call calls a function. Errors: Unavailable.
func (f Functions) Call(name string, r *http.Request) (*http.Response, error) {
	function := f[name]
	if function == nil {
		return nil, chat.Errorf(chat.Unavailable, "no function %s", name)
	}
	resp, err := function.RoundTrip(r)
	if err != nil {
		return nil, chat.Errorf(chat.Unavailable, "%s: %w", name, err)
	}
	return resp, nil
}

// ReadAll reads the body of a function's answer. If the answer states its size, it does
// so without growing memory, and if the function is in this process without a copy.
func ReadAll(resp *http.Response) ([]byte, error) {
	if local, ok := resp.Body.(interface{ All() []byte }); ok {
		return local.All(), nil
	}
	var body bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= maxAnswer {
		body.Grow(int(n) + bytes.MinRead)
	}
	_, err := body.ReadFrom(resp.Body)
	return body.Bytes(), err
}

// proxy forwards requests to functions.
type proxy struct {
	functions Functions
	requests  *Requests
	timeout   time.Duration // for a request and its answer
}

// forward sends a request to a function, and its answer back.
func (p *proxy) forward(rctx context.Context, ctx *fasthttp.RequestCtx, function string) error {
	rctx, cancel := context.WithTimeout(rctx, p.timeout)
	defer cancel()
	r, err := p.requests.Request(rctx, ctx)
	if err != nil {
		return err
	}
	return p.requests.WithBody(ctx, r, serve.MaxRequest, func(r *http.Request) error { return p.passOn(ctx, function, r) })
}

// passOn calls a function and answers with its answer.
func (p *proxy) passOn(ctx *fasthttp.RequestCtx, function string, r *http.Request) error {
	resp, err := p.functions.Call(function, r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := ReadAll(resp)
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
