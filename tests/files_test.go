package tests

import (
	"net"
	"net/http"
	"testing"
	"time"
)

// More silent connections than the server may have files: it goes on, for those
// who are there, for those who come, and for who looks after it.
func TestMoreConnectionsThanFiles(t *testing.T) {
	if elsewhere != nil {
		skip(t, "starts servers of its own")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := ln.Addr().String()
	_ = ln.Close()
	s := &Server{dir: t.TempDir(), files: 400, admin: admin}
	s.Start(t)
	t.Cleanup(func() { s.Stop(t) })
	others := s.bystanders(t)
	others.talk(t)

	var silent []net.Conn
	defer func() {
		for _, conn := range silent {
			_ = conn.Close()
		}
	}()
	for i := range 600 {
		conn, err := net.DialTimeout("tcp", s.address(), 5*time.Second)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		silent = append(silent, conn)
		if i%2 == 0 { // has begun a request that never ends, so that it is not idle
			_, _ = conn.Write([]byte("GET /"))
		}
		if i%200 == 199 {
			others.talk(t)
		}
	}
	http := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, url := range []string{s.URL + "/healthz", "http://" + admin + "/healthz", "http://" + admin + "/metrics", s.URL + "/readyz"} {
		resp, err := http.Get(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s: %s", url, resp.Status)
		}
	}
	s.someone(t, "latecomer").Wire().IsAlive()
	others.talk(t)
}
