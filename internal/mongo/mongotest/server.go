package mongotest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a FerretDB of a test's own, to be killed and started again. It is not
// safe for concurrent use.
type Server struct {
	t       testing.TB
	data    string
	process *process
}

// Start runs a server until the test ends. It skips the test unless KNATTER_SLOW is
// set.
func Start(t testing.TB) *Server {
	t.Helper()
	needSlow(t)
	s := &Server{t: t, data: t.TempDir()}
	s.launch("127.0.0.1:0")
	t.Cleanup(s.Kill)
	return s
}

// Database is the URL of a database of the server's.
func (s *Server) Database() string { return s.process.url + "knatter" }

// Kill ends the server as kill -9 does.
func (s *Server) Kill() { s.process.kill() }

// Restart starts the server again, at the same address, after its end.
func (s *Server) Restart() {
	s.t.Helper()
	s.launch(strings.Trim(strings.TrimPrefix(s.process.url, "mongodb:"), "/"))
}

func (s *Server) launch(listen string) {
	s.t.Helper()
	p, err := launch(listen, s.data)
	if err != nil {
		s.t.Fatal(err)
	}
	s.process = p
}

// Listen runs a server at an address, for others than this process too, and says
// its URL, which ends before a database's name. stop ends it.
func Listen(address, data string) (url string, stop func(), err error) {
	p, err := launch(address, data)
	if err != nil {
		return "", nil, err
	}
	return p.url, p.kill, nil
}

// process is a running server.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer // kept open as long as the server is to run
	url   string
}

// startTimeout is how long the server may take to listen.
const startTimeout = 30 * time.Second

// launch runs the server. It ends with us at the latest, when our end of its
// standard input is closed.
func launch(listen, data string) (*process, error) {
	path, err := Binary()
	if err != nil {
		return nil, fmt.Errorf("FerretDB cannot be had: %w", err)
	}
	cmd := exec.Command(path, "-stdin", "-listen", listen, "-data", data)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin}
	late := time.AfterFunc(startTimeout, p.kill)
	defer late.Stop()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("FerretDB does not start: %w", err)
	}
	p.url = strings.TrimSpace(line)
	return p, nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()
	_ = p.stdin.Close()
}

// Binary is the path of the server, built if its sources are newer.
func Binary() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(here), "..", "..", "..")
	sources, path := filepath.Join(root, "tests", "engines", "ferretdb"), filepath.Join(root, "bin", "ferretdb")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(path + ".lock") // against the tests of other packages
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	built, err := os.Stat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err == nil {
		fresh := true
		for _, name := range []string{"main.go", "gate.go", "go.mod", "go.sum"} {
			source, err := os.Stat(filepath.Join(sources, name))
			if err != nil {
				return "", err
			}
			fresh = fresh && source.ModTime().Before(built.ModTime())
		}
		if fresh {
			return path, nil
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path+".new", ".")
	cmd.Dir = sources
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, os.Rename(path+".new", path)
}
