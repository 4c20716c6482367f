package edge

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
)

// front is a server at work, with functions as a test has them and two handlers.
type front struct {
	*testing.T
	s    *Server
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

// defaults are the settings that a connector has.
func defaults(cfg Config) Config {
	cfg.BodyBytes = cmp.Or(cfg.BodyBytes, 32<<20)
	cfg.BodyTimeout = cmp.Or(cfg.BodyTimeout, 30*time.Second)
	cfg.FunctionTimeout = cmp.Or(cfg.FunctionTimeout, 30*time.Second)
	return cfg
}

func newFront(t *testing.T, cfg Config, functions Functions) *front {
	t.Helper()
	f := &front{T: t, log: new(safeBuffer)}
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	f.s, err = New(ctx, defaults(cfg), Parts{Functions: functions, Logger: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	f.s.Handle("", "/healthz", func(_ context.Context, ctx *fasthttp.RequestCtx) error {
		return JSON(ctx, http.StatusOK, map[string]string{"status": "ok"})
	})
	f.s.Handle("", "/v1/events", func(_ context.Context, ctx *fasthttp.RequestCtx) error {
		if !ctx.IsPost() {
			return NotAllowed(http.MethodPost)
		}
		return chat.Errorf(chat.Unauthenticated, "not logged in")
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.base = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- f.s.Serve(ln) }()
	t.Cleanup(func() {
		cancel()
		_ = f.s.Shutdown(context.Background())
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

func TestUnreadableRequestsAreNotQuoted(t *testing.T) {
	const token = "Bearer-of-a-secret"
	f := newFront(t, Config{}, nil)
	authorized := "Host: h\nAuthorization: Bearer " + token + "\n"
	for name, c := range map[string]struct {
		request string
		want    int
	}{
		"long headers":       {"GET /v1/me HTTP/1.1\n" + authorized + "Long: " + strings.Repeat("x", 25_000) + "\n\n", 431},
		"many headers":       {"GET /v1/me HTTP/1.1\n" + authorized + strings.Repeat("X-Y: z\n", 5000) + "\n", 431},
		"a long path":        {"GET /" + strings.Repeat("x", 25_000) + " HTTP/1.1\n" + authorized + "\n", 431},
		"a socket's":         {"GET /v1/socket HTTP/1.1\n" + authorized + "Long: " + strings.Repeat("x", 25_000) + "\n\n", 431},
		"HTTP/9.9":           {"GET / HTTP/9.9\n" + authorized + "\n", 505},
		"HTTP/2.0":           {"GET / HTTP/2.0\n" + authorized + "\n", 505},
		"HTTP/0.9":           {"GET / HTTP/0.9\n" + authorized + "\n", 505},
		"no version":         {"GET / HTTP\n" + authorized + "\n", 400},
		"no host":            {"GET / HTTP/1.1\nAuthorization: Bearer " + token + "\n\n", 400},
		"no colon":           {"GET / HTTP/1.1\n" + authorized + "nonsense\n\n", 400},
		"two lengths":        {"POST /v1/events HTTP/1.1\n" + authorized + "Content-Length: 1\nContent-Length: 2\n\nx", 400},
		"a length of sorts":  {"POST /v1/events HTTP/1.1\n" + authorized + "Content-Length: -1\n\n", 400},
		"a path of sorts":    {"GET /v1/rooms/%zz HTTP/1.1\n" + authorized + "\n", 400},
		"HTTP/1.0 will do":   {"GET /healthz HTTP/1.0\n" + authorized + "\n", 200},
		"HTTP/1.2 as well":   {"GET /healthz HTTP/1.2\n" + authorized + "Connection: close\n\n", 200},
		"the whole of a URL": {"GET http://h/healthz HTTP/1.1\n" + authorized + "Connection: close\n\n", 200},
	} {
		resp, body := f.raw(c.request)
		if resp.StatusCode != c.want || c.want >= 400 && resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d, %s, want %d", name, resp.StatusCode, body, c.want)
		}
		if strings.Contains(body, "ecret") || strings.Contains(body, "xxxx") {
			t.Errorf("%s: quotes the request: %s", name, body)
		}
	}
	if strings.Contains(f.log.String(), "ecret") {
		t.Errorf("the log has a token:\n%s", f.log)
	}
}

// Proxies and some clients write the whole URL into the first line.
func TestAbsoluteForm(t *testing.T) {
	var got *http.Request
	f := newFront(t, Config{}, map[string]http.RoundTripper{"search": roundTripper(func(r *http.Request) (*http.Response, error) {
		got = r
		return answer(200, "{}"), nil
	})})
	for target, want := range map[string]string{
		"/v1/search?q=a%20b":                       "/v1/search?q=a%20b",
		"http://chat.example/v1/search?q=a%20b":    "/v1/search?q=a%20b",
		"HTTP://chat.example:80/v1/search?q=a/b?c": "/v1/search?q=a/b?c",
		"https://chat.example/v1/search":           "/v1/search",
	} {
		got = nil
		resp, body := f.raw("GET " + target + " HTTP/1.1\nHost: chat.example\nConnection: close\n\n")
		if resp.StatusCode != 200 || got == nil || got.URL.RequestURI() != want {
			t.Errorf("%s: %d, %s, %v", target, resp.StatusCode, body, got)
		}
	}
	if resp, _ := f.raw("GET http://chat.example HTTP/1.1\nHost: chat.example\nConnection: close\n\n"); resp.StatusCode != 404 { // no page in this test
		t.Errorf("without a path: %d", resp.StatusCode)
	}
}

// Whoever refuses a request for now, a client hears when to come again.
func TestComeAgain(t *testing.T) {
	for _, status := range []int{429, 503} {
		for given, want := range map[string]string{"": "1", "7": "7"} {
			f := newFront(t, Config{}, map[string]http.RoundTripper{"search": roundTripper(func(*http.Request) (*http.Response, error) {
				if given == "" {
					return answer(status, "{}"), nil
				}
				return answer(status, "{}", "Retry-After", given), nil
			})})
			resp, _ := f.raw("GET /v1/search?q=a HTTP/1.1\nHost: h\nConnection: close\n\n")
			if got := resp.Header.Values("Retry-After"); resp.StatusCode != status || len(got) != 1 || got[0] != want {
				t.Errorf("%d with Retry-After %q became %d with %q", status, given, resp.StatusCode, got)
			}
		}
	}
	f := newFront(t, Config{}, nil)
	resp, _ := f.raw("GET /v1/rooms HTTP/1.1\nHost: h\nConnection: close\n\n") // no function is there
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	if resp, _ := f.raw("GET /healthz HTTP/1.1\nHost: h\nConnection: close\n\n"); resp.Header.Get("Retry-After") != "" {
		t.Error("an answer that is none to come again for has Retry-After")
	}
}

func TestEntityTags(t *testing.T) {
	for header, want := range map[string]bool{
		`"a"`: true, `W/"a"`: true, `"b", "a"`: true, `"b",W/"a"`: true, `*`: true, ` "a" `: true,
		`"b"`: false, `a`: false, `W/"b"`: false, ``: false, `w/"a"`: false,
	} {
		if got := matches([][]byte{[]byte(header)}, `"a"`); got != want {
			t.Errorf("%s: %v", header, got)
		}
	}
}
