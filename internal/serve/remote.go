package serve

import (
	"net/http"
	"net/url"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
)

// Remote is a RoundTripper that sends every request to one base URL, for functions
// that are served elsewhere.
type Remote struct {
	Base      *url.URL
	Transport http.RoundTripper // default http.DefaultTransport
	Callers   *auth.Callers     // whose secret is shown; default none
}

var _ http.RoundTripper = Remote{}

// RoundTrip implements http.RoundTripper. Errors: Unavailable when the function
// does not take our secret, which is nothing that a user could help.
func (m Remote) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	base := *m.Base
	if base.Path == "" { // JoinPath would make a relative path
		base.Path = "/"
	}
	target := base.JoinPath(r.URL.EscapedPath())
	out.URL.Scheme, out.URL.Host, out.URL.Path, out.URL.RawPath = target.Scheme, target.Host, target.Path, target.RawPath
	out.Host = m.Base.Host
	m.Callers.Show(out.Header)
	transport := m.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	resp, err := transport.RoundTrip(out)
	if err == nil && auth.Challenged(resp) {
		_ = resp.Body.Close()
		return nil, chat.Errorf(chat.Unavailable, "%s does not take our KNATTER_CALLER_SECRET", m.Base.Host)
	}
	return resp, err
}
