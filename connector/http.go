package connector

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/fasthttp/websocket"
	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/guard"
	"knatter.dev/chat/internal/names"
	"knatter.dev/chat/internal/serve"
)

// subprotocol is the CloudEvents WebSocket binding with JSON events.
const subprotocol = "cloudevents.json"

// contentSecurityPolicy lets the page use its own files and its own origin, and
// nothing else.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// serveHTTP answers a request. fasthttp recovers from nothing: a panic would end
// the process.
func (c *Connector) serveHTTP(ctx *fasthttp.RequestCtx) {
	err := guard.Call(c.ctx, c.logger, "a request", func() error {
		c.route(ctx)
		return nil
	})
	if err != nil {
		ctx.Response.Reset()
		c.problem(ctx, err)
	}
}

// route is the one origin for everything.
func (c *Connector) route(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	p := string(ctx.Path())
	switch {
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
	case !websocket.FastHTTPIsWebSocketUpgrade(ctx):
		c.problem(ctx, chat.Errorf(chat.Malformed, "this is a WebSocket endpoint"))
		return
	case !offers(ctx, subprotocol):
		c.problem(ctx, chat.Errorf(chat.Malformed, "the subprotocol must be %s", subprotocol))
		return
	case !c.allowedOrigin(ctx):
		c.problem(ctx, chat.Errorf(chat.Forbidden, "origin not allowed"))
		return
	}
	key, err := base64.StdEncoding.DecodeString(string(ctx.Request.Header.Peek("Sec-WebSocket-Key")))
	if string(ctx.Request.Header.Peek("Sec-WebSocket-Version")) != "13" || err != nil || len(key) != 16 {
		ctx.Response.Header.Set("Sec-WebSocket-Version", "13")
		c.problem(ctx, chat.Errorf(chat.Malformed, "not a handshake of WebSocket version 13"))
		return
	}
	token, _ := strings.CutPrefix(string(ctx.Request.Header.Peek("Authorization")), "Bearer ")
	takeOver(ctx, &c.upgrader, func(conn *websocket.Conn, raw net.Conn) {
		s := c.newSession(names.NewSession(), conn, raw)
		if !c.enter(s) {
			return
		}
		if token != "" {
			s.authenticate(token)
		}
		// A goroutine of its own lets the server release what the request took.
		go s.read()
	})
}

func offers(ctx *fasthttp.RequestCtx, protocol string) bool {
	for _, h := range ctx.Request.Header.PeekAll("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(string(h), ",") {
			if strings.TrimSpace(p) == protocol {
				return true
			}
		}
	}
	return false
}

// allowedOrigin lets in pages of our own origin and of the allowlist, and clients
// that are no browsers.
func (c *Connector) allowedOrigin(ctx *fasthttp.RequestCtx) bool {
	origin := string(ctx.Request.Header.Peek("Origin"))
	if origin == "" || slices.Contains(c.cfg.Origins, "*") || slices.Contains(c.cfg.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, string(ctx.Host()))
}

func (c *Connector) events(ctx *fasthttp.RequestCtx) {
	if !ctx.IsPost() {
		c.notAllowed(ctx, http.MethodPost)
		return
	}
	rctx, cancel := context.WithTimeout(c.ctx, c.cfg.FunctionTimeout)
	defer cancel()
	r, err := c.request(rctx, ctx)
	if err != nil {
		c.problem(ctx, err)
		return
	}
	c.publishHTTP(ctx, r)
}

// hopHeaders are of one connection only and not passed on.
var hopHeaders = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// request is the request in net/http's form, as functions take it.
func (c *Connector) request(rctx context.Context, ctx *fasthttp.RequestCtx) (*http.Request, error) {
	body := bytes.Clone(ctx.PostBody())
	r, err := http.NewRequestWithContext(rctx, string(ctx.Method()), "http://"+c.host(ctx)+string(ctx.RequestURI()), bytes.NewReader(body))
	if err != nil {
		return nil, chat.Errorf(chat.Malformed, "not a request: %w", err)
	}
	for k, v := range ctx.Request.Header.All() {
		r.Header.Add(string(k), string(v))
	}
	for _, h := range hopHeaders {
		r.Header.Del(h)
	}
	client := clientIP(ctx.RemoteAddr())
	if prior := r.Header.Get("X-Forwarded-For"); c.cfg.TrustForwardedFor && prior != "" {
		client = prior
	}
	r.Header.Set("X-Forwarded-For", client)
	r.RemoteAddr = ctx.RemoteAddr().String()
	return r, nil
}

func (c *Connector) host(ctx *fasthttp.RequestCtx) string {
	if h := string(ctx.Host()); h != "" {
		return h
	}
	return "localhost"
}

func clientIP(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// forward passes a request to a function and its answer back.
func (c *Connector) forward(ctx *fasthttp.RequestCtx, function string) {
	rctx, cancel := context.WithTimeout(c.ctx, c.cfg.FunctionTimeout)
	defer cancel()
	r, err := c.request(rctx, ctx)
	if err != nil {
		c.problem(ctx, err)
		return
	}
	resp, err := c.roundTrip(function, r)
	if err != nil {
		c.problem(ctx, err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.problem(ctx, chat.Errorf(chat.Unavailable, "%s: %w", function, err))
		return
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
	ctx.SetBody(body)
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

// asset is one file of the web client, ready to be sent.
type asset struct {
	body        []byte
	contentType string
	etag        string
}

func loadAssets(files []fs.FS) (map[string]asset, error) {
	assets := make(map[string]asset)
	for _, f := range files {
		err := fs.WalkDir(f, ".", func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			body, err := fs.ReadFile(f, p)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(body)
			a := asset{body: body, contentType: contentType(p), etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
			assets["/"+p] = a
			if p == "index.html" {
				assets["/"] = a
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("files to serve: %w", err)
		}
	}
	return assets, nil
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".yaml":
		return "application/yaml"
	case ".webmanifest":
		return "application/manifest+json"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

func (c *Connector) static(ctx *fasthttp.RequestCtx, p string) {
	a, ok := c.assets[p]
	if !ok {
		c.problem(ctx, chat.Errorf(chat.NotFound, "no such page"))
		return
	}
	if !ctx.IsGet() && !ctx.IsHead() {
		c.notAllowed(ctx, "GET, HEAD")
		return
	}
	h := &ctx.Response.Header
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.etag)
	h.SetContentType(a.contentType)
	if string(ctx.Request.Header.Peek("If-None-Match")) == a.etag {
		ctx.SetStatusCode(http.StatusNotModified)
		return
	}
	ctx.SetBody(a.body)
}

func (c *Connector) problem(ctx *fasthttp.RequestCtx, err error) {
	p := serve.ProblemOf(err)
	if p.Status >= 500 {
		c.logger.Warn("request failed", "method", string(ctx.Method()), "path", string(ctx.Path()), "error", err)
	}
	if p.Status == http.StatusUnauthorized {
		ctx.Response.Header.Set("WWW-Authenticate", "Bearer")
	}
	c.respond(ctx, "application/problem+json", p.Status, p)
}

func (c *Connector) notAllowed(ctx *fasthttp.RequestCtx, allow string) {
	ctx.Response.Header.Set("Allow", allow)
	c.respond(ctx, "application/problem+json", serve.MethodNotAllowed.Status, serve.MethodNotAllowed)
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
