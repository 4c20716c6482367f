package tests

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"knatter.dev/chat/connector/client"
)

// Server is a local server in a process of its own, or one that is elsewhere.
type Server struct {
	URL    string
	others []string // URLs of further connectors of the same chat
	turn   atomic.Int64

	dir     string
	flags   []string
	files   int    // that it may open; 0 for what we may
	admin   string // address; "" for none
	cmd     *exec.Cmd
	out     output
	exited  chan error
	started time.Duration // until it was ready
}

// Client is a client of the server: of its connectors in turn, so that people who
// meet are on different ones.
func (s *Server) Client() *client.Client {
	if turn := int(s.turn.Add(1)) % (len(s.others) + 1); turn > 0 {
		return client.New(s.others[turn-1])
	}
	return client.New(s.URL)
}

// address is the server's host and port.
func (s *Server) address() string { return strings.TrimPrefix(s.URL, "http://") }

// Start starts the server, at the address that it had before if it had one, and
// waits until it is ready.
func (s *Server) Start(t *testing.T) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %v", s.started.Round(time.Millisecond))
}

var announced = regexp.MustCompile(`chat\s+http://[^:\s]+:(\d+)`)

func (s *Server) start() error {
	listen := "127.0.0.1:0"
	if s.URL != "" {
		listen = s.address()
	}
	args := append([]string{"--listen", listen, "--admin", s.admin, "--data", s.dir}, s.flags...)
	s.out = output{}
	s.cmd = exec.Command(program, args...)
	if s.files > 0 {
		s.cmd = exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, s.files), program}, args...)...)
	}
	s.cmd.Stderr = &s.out
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return err
	}
	address := make(chan string, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			fmt.Fprintln(&s.out, lines.Text())
			if m := announced.FindStringSubmatch(lines.Text()); m != nil {
				address <- "127.0.0.1:" + m[1]
			}
		}
	})
	cmd, exited := s.cmd, make(chan error, 1)
	s.exited = exited
	go func() { // ends with the process
		reading.Wait()
		exited <- cmd.Wait()
	}()
	select {
	case a := <-address:
		s.URL = "http://" + a
	case err := <-s.exited:
		s.cmd = nil
		return fmt.Errorf("the server ended: %w\n%s", err, s.out.String())
	case <-time.After(patience):
		s.cmd = nil
		_ = cmd.Process.Kill()
		return fmt.Errorf("the server is not ready after %v\n%s", patience, s.out.String())
	}
	s.started = time.Since(begin)
	resp, err := http.Get(s.URL + "/readyz")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it says that it is ready, and /readyz answers %s", resp.Status)
	}
	return nil
}

func (s *Server) running() bool { return s.cmd != nil }

// Kill9 ends the process as a power cut does.
func (s *Server) Kill9(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.exited
	s.cmd = nil
	if s.out.panicked() {
		t.Errorf("it panicked before that:\n%s", s.out.String())
	}
}

// Stop ends the process as Ctrl-C does.
func (s *Server) Stop(t *testing.T) {
	t.Helper()
	begin := time.Now()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	t.Logf("stopped after %v", time.Since(begin).Round(time.Millisecond))
}

func (s *Server) stop() error {
	cmd := s.cmd
	if cmd == nil {
		return nil
	}
	s.cmd = nil
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		return errors.Join(err, <-s.exited)
	}
	select {
	case err := <-s.exited:
		if err != nil || s.out.panicked() {
			return fmt.Errorf("the server ended with %v:\n%s", err, s.out.String())
		}
		return nil
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		return fmt.Errorf("the server does not stop:\n%s", s.out.String())
	}
}

// output keeps the end of what a process says.
type output struct {
	mu    sync.Mutex
	b     bytes.Buffer
	panic bool
}

var _ io.Writer = (*output)(nil)

const keptOutput = 64 << 10

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.panic = o.panic || bytes.Contains(p, []byte("panic:")) || bytes.Contains(p, []byte("panicked")) ||
		bytes.Contains(p, []byte("DATA RACE"))
	if o.b.Len() > keptOutput {
		o.b.Next(o.b.Len() - keptOutput/2)
	}
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func (o *output) panicked() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.panic
}
