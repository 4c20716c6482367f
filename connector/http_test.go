package connector

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// front is a connector's HTTP side alone: no log, no store, functions as a test
// has them.
type front struct {
	*testing.T
	c    *Connector
	base string
	log  *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// roundTripper is a function as the connector calls it.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func newFront(t *testing.T, cfg Config, functions map[string]http.RoundTripper) *front {
	t.Helper()
	f := &front{T: t, log: new(safeBuffer)}
	var err error
	f.c, err = New(cfg, Parts{Functions: functions, Logger: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.base = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- f.c.server.Serve(lingering{ln}) }()
	t.Cleanup(func() {
		f.c.cancel()
		_ = f.c.server.Shutdown()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return f
}

// raw sends bytes as they are, with \n for line ends, and returns the answer.
func (f *front) raw(request string) (*http.Response, string) {
	f.Helper()
	conn, err := net.Dial("tcp", f.base)
	if err != nil {
		f.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	head, body, _ := strings.Cut(request, "\n\n")
	if _, err := io.WriteString(conn, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n\r\n"+body); err != nil {
		f.Log(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		f.Fatalf("%.60q: %v", request, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	return resp, string(b)
}

// answer is what a function of these tests answers with.
func answer(status int, body string, header ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: make(http.Header), Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i+1 < len(header); i += 2 {
		resp.Header.Add(header[i], header[i+1])
	}
	return resp
}

func TestAPanicEndsTheRequestAlone(t *testing.T) {
	const text = "what-somebody-wrote"
	f := newFront(t, Config{}, map[string]http.RoundTripper{"search": roundTripper(func(*http.Request) (*http.Response, error) { panic(text) })})
	for range 2 {
		resp, body := f.raw("GET /v1/search?q=x HTTP/1.1\nHost: h\n\n")
		if resp.StatusCode != 500 || resp.Header.Get("Content-Type") != "application/problem+json" || strings.Contains(body, text) {
			t.Errorf("answered %d, %s", resp.StatusCode, body)
		}
	}
	if log := f.log.String(); strings.Contains(log, text) || !strings.Contains(log, "panicked with a string") {
		t.Errorf("logged %s", log)
	}
}
