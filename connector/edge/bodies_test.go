package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// echo is a function that answers with the body.
var echo = map[string]http.RoundTripper{"accounts": roundTripper(func(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != r.ContentLength {
		return nil, fmt.Errorf("length %d, body %d", r.ContentLength, len(b))
	}
	return answer(200, string(b), "Content-Type", "text/plain"), nil
})}

func TestBodiesArePassedOn(t *testing.T) {
	f := newFront(t, Config{}, echo)
	for _, n := range []int{0, 1, 4095, 4096, 4097, 9000, 64 << 10} {
		body := strings.Repeat("x", n)
		if _, got := f.raw(fmt.Sprintf("POST /v1/accounts HTTP/1.1\nHost: h\nConnection: close\nContent-Length: %d\n\n%s", n, body)); got != body {
			t.Errorf("of %d bytes %d came back", n, len(got))
		}
		chunks := "0\r\n\r\n"
		if n > 0 {
			chunks = fmt.Sprintf("%x\r\n%s\r\n", n, body) + chunks
		}
		if resp, got := f.raw("POST /v1/accounts HTTP/1.1\nHost: h\nConnection: close\nTransfer-Encoding: chunked\n\n" + chunks); got != body {
			t.Errorf("of %d bytes in chunks %d came back, %d", n, len(got), resp.StatusCode)
		}
	}
	for name, request := range map[string]string{
		"declared":  fmt.Sprintf("Content-Length: %d\n\nx", 64<<10+1), // and not sent: it is known before
		"sent":      fmt.Sprintf("Content-Length: %d\n\n%s", 2<<20, strings.Repeat("x", 2<<20)),
		"in chunks": fmt.Sprintf("Transfer-Encoding: chunked\n\n%x\r\n%s", 1<<20, strings.Repeat("x", 1<<20)),
	} {
		resp, body := f.raw("POST /v1/accounts HTTP/1.1\nHost: h\n" + request)
		if resp.StatusCode != 413 || resp.Header.Get("Content-Type") != "application/problem+json" || !resp.Close {
			t.Errorf("too large, %s: %d, %s", name, resp.StatusCode, body)
		}
	}
	if f.s.bodies.held != 0 || len(f.s.bodies.of) != 0 {
		t.Errorf("%d bytes are still held", f.s.bodies.held)
	}
}

// A connection serves on after a body, and not after one that nobody has read.
func TestRequestsBehindABody(t *testing.T) {
	f := newFront(t, Config{}, echo)
	conn, err := net.Dial("tcp", f.base)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, strings.Repeat("POST /v1/accounts HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 3))
	fmt.Fprint(conn, "POST /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
	r := bufio.NewReader(conn)
	for i := range 4 {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		b, _ := io.ReadAll(resp.Body)
		if i < 3 && string(b) != "hello" || resp.Close != (i == 3) {
			t.Errorf("answer %d: %q, closed: %v", i, b, resp.Close)
		}
	}
}

func TestSlowBodies(t *testing.T) {
	f := newFront(t, Config{BodyTimeout: 200 * time.Millisecond}, echo)
	begin := time.Now()
	resp, body := f.raw("POST /v1/accounts HTTP/1.1\nHost: h\nContent-Length: 100\n\nhello")
	if d := time.Since(begin); resp.StatusCode != 408 || !resp.Close || d > 5*time.Second {
		t.Errorf("%d, %s after %v", resp.StatusCode, body, d)
	}
}

// 1,000 bodies that never end hold what they may and no more, and keep nobody from
// logging in.
func TestUnfinishedBodiesAreBounded(t *testing.T) {
	const budget = 8 << 20
	f := newFront(t, Config{BodyBytes: budget}, echo)
	before := heap()
	part := strings.Repeat("x", 60<<10)
	refused := 0
	for i := range 1000 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(i%8), 2)}}
		conn, err := d.Dial("tcp", f.base)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "POST /v1/accounts HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", 64<<10, part); err != nil {
			refused++
		}
		if i == 900 { // this address has all that it may hold
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
				t.Errorf("one too many: %v, %v", resp, err)
			}
		}
	}
	f.s.bodies.mu.Lock()
	held := f.s.bodies.held
	f.s.bodies.mu.Unlock()
	if held > budget {
		t.Errorf("%d bytes are held", held)
	}
	// Beside the budget each connection has fasthttp's buffers and a goroutine.
	if grown := heap() - before; grown > budget+1000*(32<<10) {
		t.Errorf("memory grew by %d MiB", grown>>20)
	} else {
		t.Logf("memory grew by %d MiB, %d of them bodies", grown>>20, held>>20)
	}
	if resp, _ := f.raw("POST /v1/accounts HTTP/1.1\nHost: h\nConnection: close\nContent-Length: 5\n\nhello"); resp.StatusCode != 200 {
		t.Errorf("a small body: %d", resp.StatusCode)
	}
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}
