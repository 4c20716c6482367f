package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/names"
	"knatter.dev/chat/internal/open"
	processes "knatter.dev/chat/tests/engines/processes/fleet"
)

// target is the server under load.
type target struct {
	addresses []string // host:port of the chat, of each of its connectors
	admins    []string // host:port of the metrics of the event functions
	pids      map[string]int
	stop      func() error
}

// user is somebody with a token.
type user struct {
	id    chat.UserID
	token string
}

// tokenLife is longer than any run.
const tokenLife = 6 * time.Hour

// mint makes users and logs them in, by writing to the server's store and signing
// with its key. Over HTTP that would take minutes, as passwords are hashed slowly
// on purpose, and would run into the limits on sign-ups.
func mint(ctx context.Context, storeURL, keyFile string, n int) ([]user, error) {
	signer, err := auth.LoadOrCreateKey(keyFile)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	stores, err := open.Store(ctx, storeURL)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	users := make([]user, n)
	var g errgroup.Group
	g.SetLimit(64)
	for i := range users {
		g.Go(func() (err error) {
			u := chat.Account{ID: names.NewUser(), Created: time.Now()}
			u.Nickname = "load-" + string(u.ID[:6])
			u.Email = string(u.ID) + "@load.test"
			s := chat.Session{ID: names.NewSession(), User: u.ID, Created: u.Created, Expires: u.Created.Add(tokenLife)}
			if err := errors.Join(stores.Accounts.Create(ctx, u), stores.Sessions.Open(ctx, s)); err != nil {
				return err
			}
			users[i].id = u.ID
			users[i].token, err = signer.Sign(auth.Claims{User: u.ID, Nickname: u.Nickname, Session: s.ID, Expires: s.Expires})
			return err
		})
	}
	err = g.Wait()
	return users, errors.Join(err, stores.Close())
}

// build builds the local binary.
func build(ctx context.Context, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "knatter.dev/chat/local")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building the server: %w", err)
	}
	return nil
}

// startServer runs the local binary on a directory of data.
func startServer(ctx context.Context, binary, data string, args []string) (t *target, err error) {
	t = new(target)
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	t.addresses = []string{address}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	t.admins = []string{admin}
	cmd := exec.Command(binary, append([]string{"--listen", address, "--admin", admin, "--data", data}, args...)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us; the server is stopped when all is measured
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the server: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.pids = map[string]int{"server": cmd.Process.Pid}
	t.stop = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return fmt.Errorf("the server ended by itself: %w", <-ended)
		}
		return <-ended
	}
	if err := t.ready(ctx, ended); err != nil {
		return nil, errors.Join(err, cmd.Process.Kill())
	}
	return t, nil
}

// startProcesses runs every part as a process of its own.
func startProcesses(ctx context.Context, dir string, connectors int) (t *target, env map[string]string, err error) {
	f, err := processes.Start(ctx, processes.Options{Connectors: connectors, Dir: dir, LongLived: true})
	if err != nil {
		return nil, nil, err
	}
	t = &target{pids: make(map[string]int), stop: f.Close}
	for _, p := range f.Processes() {
		t.pids[p.Name] = p.PID
		switch {
		case strings.HasPrefix(p.Name, "connector-"):
			t.addresses = append(t.addresses, p.Address)
		case strings.HasPrefix(p.Name, "dispatcher-"):
			t.admins = append(t.admins, p.Address)
		}
	}
	return t, f.Env(), nil
}

// holders are the processes that hold the sockets.
func (t *target) holders() map[string]int {
	connectors := make(map[string]int)
	for name, pid := range t.pids {
		if strings.HasPrefix(name, "connector-") {
			connectors[name] = pid
		}
	}
	if len(connectors) > 0 {
		return connectors
	}
	return t.pids
}

// ready waits for the server to serve.
func (t *target) ready(ctx context.Context, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.addresses[0]+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the server ended: %w", err)
		case <-ctx.Done():
			return errors.New("the server does not get ready")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
