package serve_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"knatter.dev/chat/internal/serve"
)

func TestRemoteKeepsThePath(t *testing.T) {
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RequestURI }))
	defer server.Close()
	for _, test := range []struct{ base, path, want string }{
		{"", "/v1/rooms?limit=1", "/v1/rooms?limit=1"},
		{"/", "/v1/rooms", "/v1/rooms"},
		{"/functions/rooms", "/v1/rooms", "/functions/rooms/v1/rooms"},
		{"", "/v1/rooms/a%2Fb%25/messages", "/v1/rooms/a%2Fb%25/messages"},
		{"", "/v1/%EA%B0%80", "/v1/%EA%B0%80"},
	} {
		base, err := url.Parse(server.URL + test.base)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequest(http.MethodGet, "http://rooms"+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := serve.Remote{Base: base}.RoundTrip(r)
		if err != nil {
			t.Errorf("%s and %s: %v", test.base, test.path, err)
			continue
		}
		_ = resp.Body.Close()
		if got != test.want {
			t.Errorf("%s and %s: asked for %s, want %s", test.base, test.path, got, test.want)
		}
	}
}
