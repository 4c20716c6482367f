package program_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/program"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/wait/waittest"
)

// echo is a function that starts when it may, and answers by what it gets.
type echo struct {
	answer  atomic.Pointer[http.HandlerFunc] // nil before the start
	start   chan error                       // what Start is to return
	held    chan struct{}
	release chan struct{}
	stopped chan struct{}
}

func newEcho() *echo {
	return &echo{start: make(chan error, 1), held: make(chan struct{}), release: make(chan struct{}), stopped: make(chan struct{})}
}

func (e *echo) Start(ctx context.Context, _ map[string]string) error {
	select {
	case err := <-e.start:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hold":
			close(e.held)
			<-e.release
		case "/panic":
			panic("with a message's text")
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			serve.Fail(w, r, chat.Errorf(chat.TooLarge, "%w", err))
			return
		}
		_, _ = w.Write(body)
	})
	e.answer.Store(&answer)
	return nil
}

func (e *echo) Handle(w http.ResponseWriter, r *http.Request) {
	if answer := e.answer.Load(); answer != nil {
		(*answer)(w, r)
		return
	}
	serve.Fail(w, r, chat.Errorf(chat.Unavailable, "not started yet"))
}

func (e *echo) Ready(context.Context) (bool, error) { return e.answer.Load() != nil, nil }

func (*echo) Alive(context.Context) (bool, error) { return true, nil }

func (e *echo) Stop(context.Context) error {
	close(e.stopped)
	return nil
}

// serving is a function that is being served.
type serving struct {
	*echo
	t    *testing.T
	url  string
	stop context.CancelFunc
	code chan int
	log  *bytes.Buffer // to be read when it has ended
}

func serveEcho(t *testing.T) *serving {
	t.Helper()
	address := freeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	s := &serving{echo: newEcho(), t: t, url: "http://" + address, stop: stop, code: make(chan int, 1), log: new(bytes.Buffer)}
	go func() {
		s.code <- program.Serving("echo", "Answers by what it gets.", s.echo, nil).Execute(ctx, []string{"--listen", address}, nil, io.Discard, s.log)
	}()
	s.until("/health/liveness", http.StatusOK)
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *serving) get(path string) int {
	resp, err := http.Get(s.url + path)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func (s *serving) until(path string, status int) {
	s.t.Helper()
	waittest.Until(s.t, fmt.Sprintf("%s answers %d", path, status), func() bool { return s.get(path) == status })
}

func (s *serving) post(path string, body io.Reader) (int, string) {
	s.t.Helper()
	resp, err := http.Post(s.url+path, "text/plain", body)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestServe(t *testing.T) {
	s := serveEcho(t)
	if ready, busy := s.get("/health/readiness"), s.get("/"); ready != 503 || busy != 503 {
		t.Errorf("before the start: %d, %d", ready, busy)
	}
	s.start <- nil
	s.until("/health/readiness", http.StatusOK)
	for _, path := range []string{"/", "/v1/rooms?x=y", "/health"} {
		if status, body := s.post(path, strings.NewReader("hi")); status != 200 || body != "hi" {
			t.Errorf("%s: %d, %q", path, status, body)
		}
	}
	if status, _ := s.post("/", io.LimitReader(zeros{}, serve.MaxBody+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body too large: %d", status)
	}
	if status, body := s.post("/panic", http.NoBody); status != 500 || strings.Contains(body, "text") {
		t.Errorf("a panic: %d, %s", status, body)
	}
	// A request that is being answered is finished, then the function stops.
	answered := make(chan int)
	go func() { answered <- s.get("/hold") }()
	<-s.held
	s.stop()
	s.until("/", 0)
	select {
	case <-s.stopped:
		t.Error("stopped before the request was answered")
	default:
	}
	close(s.release)
	if status := <-answered; status != 200 {
		t.Errorf("what was being answered: %d", status)
	}
	<-s.stopped
	if code := <-s.code; code != 0 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(s.log.String(), "message's text") {
		t.Error("the log has what the function panicked with")
	}
}

func TestServeFailsToStart(t *testing.T) {
	s := serveEcho(t)
	s.start <- errors.New("no store")
	if code := <-s.code; code != 1 || !strings.Contains(s.log.String(), "no store") {
		t.Errorf("exit code %d, %s", code, s.log)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	code, _, complaint := called(t, program.Serving("echo", "", newEcho(), nil), "--listen "+taken.Addr().String())
	if code != 1 || !strings.Contains(complaint, "KNATTER_LISTEN") {
		t.Errorf("an address that is taken: %d, %s", code, complaint)
	}
	if code, _, complaint := called(t, program.Serving("echo", "", newEcho(), nil), "", "PORT=many"); code != 2 || !strings.Contains(complaint, "PORT") {
		t.Errorf("a port that is none: %d, %s", code, complaint)
	}
}

// Stopping while the function waits for its store is no failure.
func TestServeIsStoppedWhileStarting(t *testing.T) {
	s := serveEcho(t)
	s.stop()
	if code := <-s.code; code != 0 {
		t.Errorf("exit code %d, %s", code, s.log)
	}
}

func TestServePort(t *testing.T) {
	_, port, _ := net.SplitHostPort(freeAddress(t))
	ctx, stop := context.WithCancel(t.Context())
	f := newEcho()
	f.start <- nil
	code := make(chan int)
	go func() {
		code <- program.Serving("echo", "", f, nil).Execute(ctx, nil, []string{"PORT=" + port}, io.Discard, io.Discard)
	}()
	s := &serving{t: t, url: "http://127.0.0.1:" + port}
	s.until("/health/readiness", http.StatusOK)
	stop()
	if code := <-code; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestAdmin(t *testing.T) {
	address := freeAddress(t)
	ready := make(chan error, 1)
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "knatter_test_total"})
	a, err := program.ListenAdmin(address, func(context.Context) error {
		err := <-ready
		ready <- err
		return err
	}, counter)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := program.ListenAdmin(address, nil); err == nil || !strings.Contains(err.Error(), "--admin") {
		t.Errorf("an address that is taken: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	draining, drained := make(chan struct{}), make(chan struct{})
	go func() {
		ended <- a.Beside(ctx, func(ctx context.Context) error {
			<-ctx.Done()
			close(draining)
			<-drained
			return nil
		})
	}()
	s := &serving{t: t, url: "http://" + address}
	s.until("/healthz", 200)
	ready <- fmt.Errorf("starting")
	if status := s.get("/readyz"); status != 503 {
		t.Errorf("not ready: %d", status)
	}
	<-ready
	ready <- nil
	for _, path := range []string{"/readyz", "/metrics", "/debug/pprof/goroutine"} {
		if status := s.get(path); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
	}
	stop()
	<-draining
	if status := s.get("/metrics"); status != 200 {
		t.Errorf("while it drains: %d", status)
	}
	close(drained)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if status := s.get("/healthz"); status != 0 {
		t.Errorf("after the end: %d", status)
	}
	none, err := program.ListenAdmin("none", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := none.Beside(t.Context(), func(context.Context) error { return errors.New("done") }); err == nil || err.Error() != "done" {
		t.Errorf("without a server: %v", err)
	}
}
