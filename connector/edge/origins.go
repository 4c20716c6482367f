package edge

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
)

// The headers that pages of other origins may read of an answer, and for how many
// seconds a browser may cache a preflight's answer.
const (
	exposedHeaders = "Content-Disposition, ETag, Knatter-More, Location, Retry-After, WWW-Authenticate"
	allowedMethods = "DELETE, GET, HEAD, PATCH, POST, PUT"
	preflightAge   = "7200"
)

// origins are the origins, beside our own, whose pages may connect.
type origins struct {
	all     bool
	named   map[string]bool
	trusted trusted // the proxies that may state the scheme of our own page
}

// newOrigins parses a list of origins; "*" allows all. Errors: Invalid.
func newOrigins(list []string) (origins, error) {
	o := origins{named: make(map[string]bool)}
	for _, s := range list {
		s = strings.TrimSpace(s)
		if s == "*" {
			o.all = true
			continue
		}
		origin, ok := canonicalOrigin(strings.TrimSuffix(s, "/"))
		if !ok {
			return o, chat.Errorf(chat.Invalid, "%q is not an origin, as in https://chat.example or *", s)
		}
		o.named[origin] = true
	}
	return o, nil
}

func (o origins) any() bool { return o.all || len(o.named) > 0 }

func (o origins) allow(origin string) bool {
	if o.all {
		return true
	}
	origin, ok := canonicalOrigin(origin)
	return ok && o.named[origin]
}

// canonicalOrigin returns an origin in lower case and without its scheme's default
// port, as browsers send it.
func canonicalOrigin(origin string) (string, bool) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", false
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "" || port == defaultPorts[u.Scheme] {
		host = strings.TrimSuffix(strings.TrimSuffix(host, port), ":")
	}
	return u.Scheme + "://" + host, true
}

var defaultPorts = map[string]string{"http": "80", "https": "443"}

// ownOrigin reports whether an origin is our own, requested as host. Only a trusted
// proxy can state the scheme. Otherwise the scheme follows from the port; without a
// port, either scheme matches, since a server in front of us may speak TLS.
func ownOrigin(origin, host, scheme string) bool {
	origin, ok := canonicalOrigin(origin)
	if !ok {
		return false
	}
	schemes := []string{scheme}
	if scheme == "" {
		_, port, err := net.SplitHostPort(host)
		switch {
		case err != nil:
			schemes = []string{"http", "https"}
		case port == defaultPorts["https"]:
			schemes = []string{"https"}
		default:
			schemes = []string{"http"}
		}
	}
	for _, s := range schemes {
		if own, ok := canonicalOrigin(s + "://" + host); ok && own == origin {
			return true
		}
	}
	return false
}

// check admits pages of our own origin and of the allowed ones, and clients that are
// not browsers. Errors: Forbidden.
func (o origins) check(ctx *fasthttp.RequestCtx) error {
	origin := string(ctx.Request.Header.Peek("Origin"))
	if origin == "" || o.allow(origin) ||
		ownOrigin(origin, string(ctx.Host()), o.trusted.peer(remoteAddress(ctx), &ctx.Request.Header).scheme) {
		return nil
	}
	return chat.Errorf(chat.Forbidden, "origin not allowed")
}

// share allows the page of an allowed origin to read the answer (CORS).
func (o origins) share(ctx *fasthttp.RequestCtx) {
	if !o.any() {
		return
	}
	h := &ctx.Response.Header
	if !o.all {
		h.Add("Vary", "Origin")
	}
	origin := string(ctx.Request.Header.Peek("Origin"))
	switch {
	case origin == "" || !o.allow(origin):
		return
	case o.all:
		origin = "*"
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", exposedHeaders)
}

// isPreflight reports whether a request is a CORS preflight.
func isPreflight(ctx *fasthttp.RequestCtx) bool {
	h := &ctx.Request.Header
	return ctx.IsOptions() && len(h.Peek("Origin")) > 0 && len(h.Peek("Access-Control-Request-Method")) > 0
}

// preflight answers a CORS preflight. Errors: Forbidden.
func (o origins) preflight(ctx *fasthttp.RequestCtx) error {
	h := &ctx.Response.Header
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	if err := o.check(ctx); err != nil {
		return err
	}
	h.Set("Access-Control-Allow-Methods", allowedMethods)
	if wanted := ctx.Request.Header.Peek("Access-Control-Request-Headers"); len(wanted) > 0 {
		h.SetBytesV("Access-Control-Allow-Headers", wanted)
	}
	h.Set("Access-Control-Max-Age", preflightAge)
	h.SetNoDefaultContentType(true)
	ctx.SetStatusCode(http.StatusNoContent)
	return nil
}
