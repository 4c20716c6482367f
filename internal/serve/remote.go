package serve

import (
	"net/http"
	"net/url"
)

// Remote is a RoundTripper that sends every request to one base URL, for functions
// that are served elsewhere.
type Remote struct {
	Base      *url.URL
	Transport http.RoundTripper // default http.DefaultTransport
}

var _ http.RoundTripper = Remote{}

// RoundTrip implements http.RoundTripper.
func (m Remote) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	base := *m.Base
	if base.Path == "" { // JoinPath would make a relative path
		base.Path = "/"
	}
	target := base.JoinPath(r.URL.EscapedPath())
	out.URL.Scheme, out.URL.Host, out.URL.Path, out.URL.RawPath = target.Scheme, target.Host, target.Path, target.RawPath
	out.Host = m.Base.Host
	if m.Transport != nil {
		return m.Transport.RoundTrip(out)
	}
	return http.DefaultTransport.RoundTrip(out)
}
