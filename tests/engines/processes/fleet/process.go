package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 2 * time.Minute
	stopTimeout  = 45 * time.Second
	askEvery     = 50 * time.Millisecond
)

// process is one of the fleet's, running or not. While it runs, one goroutine waits
// for its end.
type process struct {
	name    string
	binary  string
	args    []string
	env     map[string]string // of ours
	address string            // that it serves on
	ready   string            // URL that answers 200 when it is; "" for the address alone
	log     string            // file
	onEnd   func(name string, err error)

	mu       sync.Mutex
	cmd      *exec.Cmd
	ended    chan struct{} // closed at its end
	stopping bool          // its end is ours
}

// launch starts the process. It ends with us at the latest, and not by the Ctrl-C
// that is for us.
func (p *process) launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive() {
		return fmt.Errorf("%s runs", p.name)
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.binary, p.args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(foreign(), variables(p.env)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}

	started, ended := make(chan error), make(chan struct{})
	go func() { // ends with the process
		defer close(ended)
		defer out.Close()
		// To the kernel, a process's parent is the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		p.mu.Lock()
		ours := p.stopping
		p.mu.Unlock()
		if !ours && p.onEnd != nil {
			p.onEnd(p.name, cmp.Or(err, errors.New("exit code 0")))
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	p.cmd, p.ended, p.stopping = cmd, ended, false
	return nil
}

// foreign is our own environment without what Knatter reads of it.
func foreign() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "KNATTER_") || strings.HasPrefix(v, "PORT=")
	})
}

func variables(env map[string]string) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// alive reports whether the process runs; p.mu is held.
func (p *process) alive() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// signal sends a signal to the process if it runs, and returns what is closed at its
// end; nil if it doesn't.
func (p *process) signal(s os.Signal) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.alive() {
		return nil
	}
	p.stopping = true
	_ = p.cmd.Process.Signal(s) // it may just have ended
	return p.ended
}

// kill ends the process as kill -9 does.
func (p *process) kill() error {
	ended := p.signal(os.Kill)
	if ended == nil {
		return fmt.Errorf("%s does not run", p.name)
	}
	<-ended
	return nil
}

// stop lets the process finish what it is at; it is killed if that takes too long.
func (p *process) stop() error {
	ended := p.signal(syscall.SIGTERM)
	if ended == nil {
		return nil
	}
	select {
	case <-ended:
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("%s does not stop", p.name), p.kill())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s stopped with exit code %d: %s", p.name, code, p.said())
	}
	return nil
}

// await returns when the process is ready.
func (p *process) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	for {
		err := p.ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(askEvery):
			continue
		case <-ended:
			err = errors.New("it ended")
		case <-ctx.Done():
			err = errors.Join(ctx.Err(), err)
		}
		return fmt.Errorf("%s does not get ready: %w: %s", p.name, err, p.said())
	}
}

func (p *process) ask(ctx context.Context) error {
	if p.ready == "" {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.address)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.ready, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", p.ready, resp.Status)
	}
	return nil
}

// said is the end of what the process has logged.
func (p *process) said() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// Process is what is to be seen of one of the fleet's processes.
type Process struct {
	Name    string
	PID     int    // 0 if it does not run
	Address string // that it serves on
	Log     string // file
}

func (p *process) state() Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Process{Name: p.name, Address: p.address, Log: p.log}
	if p.alive() {
		s.PID = p.cmd.Process.Pid
	}
	return s
}

// freeAddress is an address of this machine on which nothing listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// binaries builds all of them and returns their folder.
func binaries(ctx context.Context) (string, error) {
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(here), "..", "..", "..", "..")
	bin := filepath.Join(root, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(filepath.Join(bin, "build.lock")) // against others that build
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "make", "build")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make build: %w: %s", err, out)
	}
	return bin, nil
}
