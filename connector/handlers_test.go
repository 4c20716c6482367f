package connector_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
)

// Who has not logged in sends no events, however many.
func TestEventsOfStrangersAreNotRead(t *testing.T) {
	r := newRig(t, connector.Config{})
	conn, err := net.Dial("tcp", r.base)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(conn, "POST /v1/events HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nx")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 401 || !resp.Close || resp.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("%d, %v", resp.StatusCode, resp.Header)
	}
}

// What the connector answers itself, whichever method comes.
func TestOwnPaths(t *testing.T) {
	r := newRig(t, connector.Config{})
	for request, want := range map[string]struct {
		status int
		allow  string
	}{
		"GET /healthz": {200, ""}, "POST /healthz": {200, ""}, "GET /readyz": {200, ""},
		"GET /v1/events": {405, "POST"}, "DELETE /v1/events": {405, "POST"}, "POST /v1/events": {401, ""},
		"GET /v1/socket": {400, ""}, "POST /v1/socket": {405, "GET"},
		"GET /.well-known/jwks.json": {200, ""}, "POST /.well-known/jwks.json": {503, ""}, // of accounts, which the rig doesn't have
		"GET /v1/socket/x": {404, ""}, "GET /v1/events/x": {404, ""}, "GET /": {404, ""},
	} {
		var method, path string
		_, _ = fmt.Sscan(request, &method, &path)
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.base+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want.status || resp.Header.Get("Allow") != want.allow || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d, %v", request, resp.StatusCode, resp.Header)
		}
	}
}

// Before anything is followed a connector is not ready.
func TestNotReady(t *testing.T) {
	c, err := connector.New(connector.Config{}, connector.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(t.Context()); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
}
