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
	out.URL.Scheme, out.URL.Host = m.Base.Scheme, m.Base.Host
	out.URL.Path = m.Base.JoinPath(r.URL.Path).Path
	out.Host = m.Base.Host
	if m.Transport != nil {
		return m.Transport.RoundTrip(out)
	}
	return http.DefaultTransport.RoundTrip(out)
}
