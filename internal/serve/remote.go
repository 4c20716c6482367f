package serve

import (
	"net/http"
	"net/url"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
)

// Remote is a RoundTripper that sends every request to one base URL, for functions in
// other processes.
type Remote struct {
	Base      *url.URL
	Transport http.RoundTripper // default http.DefaultTransport
	Callers   *auth.Callers     // has the secret to show; nil for none
}

var _ http.RoundTripper = Remote{}

// RoundTrip implements http.RoundTripper. Errors: Unavailable if the function does not
// accept our secret, since the user can't do anything about that.
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
		return nil, chat.Errorf(chat.Unavailable, "%s does not accept KNATTER_CALLER_SECRET", m.Base.Host)
	}
	return resp, err
}
