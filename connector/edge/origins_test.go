package edge

import (
	"net/http"
	"strings"
	"testing"

	"knatter.dev/chat"
)

func TestOwnOrigin(t *testing.T) {
	for _, c := range []struct {
		origin, host, scheme string
		want                 bool
	}{
		{"http://chat.example:8080", "chat.example:8080", "", true},
		{"HTTP://Chat.Example:8080", "chat.example:8080", "", true},
		{"https://chat.example:8080", "chat.example:8080", "", false},
		{"http://chat.example", "chat.example:80", "", true},
		{"https://chat.example", "chat.example:443", "", true},
		{"http://chat.example", "chat.example:443", "", false},
		{"https://chat.example", "chat.example:80", "", false},
		{"http://chat.example", "chat.example", "", true},
		{"https://chat.example", "chat.example", "", true},
		{"https://chat.example", "chat.example", "https", true},
		{"http://chat.example", "chat.example", "https", false},
		{"https://chat.example", "chat.example", "http", false},
		{"https://chat.example:8443", "chat.example:8443", "https", true},
		{"http://[::1]:8080", "[::1]:8080", "", true},
		{"http://[::1]", "[::1]", "", true},
		{"ftp://chat.example", "chat.example", "", false},
		{"http://chat.example:8081", "chat.example:8080", "", false},
		{"http://chat.example.evil", "chat.example", "", false},
		{"http://me@chat.example", "chat.example", "", false},
		{"http://chat.example/path", "chat.example", "", false},
		{"null", "chat.example", "", false},
		{"", "", "", false},
		{"http://", "", "", false},
	} {
		if got := ownOrigin(c.origin, c.host, c.scheme); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestOriginsAreReadAsPeopleWriteThem(t *testing.T) {
	o, err := newOrigins([]string{" https://A.example ", "http://b.example:80/", "capacitor://localhost"})
	if err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]bool{
		"https://a.example": true, "https://a.example:443": true, "http://b.example": true, "capacitor://localhost": true,
		"http://a.example": false, "https://b.example": false, "https://a.example:444": false, "null": false, "": false,
	} {
		if got := o.allow(origin); got != want {
			t.Errorf("%q: %v", origin, got)
		}
	}
	for _, bad := range []string{"a.example", "https://", "https://a.example/path", "https://a.example?q", "https://u@a.example", ""} {
		if _, err := newOrigins([]string{bad}); chat.KindOf(err) != chat.Invalid || err == nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A page elsewhere asks first whether it may, and then reads what it gets, whatever
// that is.
func TestPagesElsewhere(t *testing.T) {
	functions := map[string]http.RoundTripper{"accounts": roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/v1/sessions" {
			return answer(200, "{}", "Content-Type", "application/json"), nil
		}
		return nil, chat.Errorf(chat.Unavailable, "away")
	})}
	f := newFront(t, Config{Origins: []string{"https://friend.example"}}, functions)
	from := func(origin, line, more string) (*http.Response, string) {
		return f.raw(line + " HTTP/1.1\nHost: chat.example\nConnection: close\nOrigin: " + origin + "\n" + more + "\n")
	}
	const ask = "Access-Control-Request-Method: POST\nAccess-Control-Request-Headers: authorization,content-type\n"

	for _, path := range []string{"/v1/sessions", "/v1/rooms", "/v1/events", "/v1/search", "/v1/me", "/.well-known/jwks.json", "/nowhere"} {
		resp, body := from("https://friend.example", "OPTIONS "+path, ask)
		h := resp.Header
		if resp.StatusCode != 204 || body != "" || h.Get("Access-Control-Allow-Origin") != "https://friend.example" ||
			!strings.Contains(h.Get("Access-Control-Allow-Methods"), "PATCH") || h.Get("Access-Control-Allow-Headers") != "authorization,content-type" {
			t.Errorf("%s: %d, %v", path, resp.StatusCode, h)
		}
		if resp, _ := from("https://evil.example", "OPTIONS "+path, ask); resp.StatusCode != 403 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s from a stranger: %d, %v", path, resp.StatusCode, resp.Header)
		}
	}
	for line, want := range map[string]int{
		"POST /v1/sessions": 200, "POST /v1/accounts": 503, "GET /nowhere": 404, "GET /v1/events": 405, "GET /healthz": 200,
	} {
		resp, _ := from("https://friend.example", line, "Content-Length: 0\n")
		if resp.StatusCode != want || resp.Header.Get("Access-Control-Allow-Origin") != "https://friend.example" || resp.Header.Get("Vary") != "Origin" ||
			!strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "Retry-After") || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d, %v", line, resp.StatusCode, resp.Header)
		}
		if resp, _ := from("https://evil.example", line, "Content-Length: 0\n"); resp.StatusCode != want || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s from a stranger: %d, %v", line, resp.StatusCode, resp.Header)
		}
	}
	if resp, _ := f.raw("GET / HTTP/1.1\nOrigin: https://friend.example\nHost: h\nLong: " + strings.Repeat("x", 25_000) + "\n\n"); resp.StatusCode != 431 {
		t.Errorf("long headers: %d", resp.StatusCode)
	}
	all := newFront(t, Config{Origins: []string{"*"}}, functions)
	resp, _ := all.raw("GET /healthz HTTP/1.1\nHost: h\nConnection: close\nOrigin: https://any.example\n\n")
	if resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Vary") != "" {
		t.Errorf("all origins: %v", resp.Header)
	}
	none := newFront(t, Config{}, functions)
	if resp, _ := none.raw("GET /healthz HTTP/1.1\nHost: h\nConnection: close\nOrigin: https://any.example\n\n"); resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("no origins: %v", resp.Header)
	}
}
