package infra

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
	"knatter.dev/chat/internal/listen/listentest"
)

const password = "correct horse battery staple"

// built is where binaries are, for all tests.
var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "knatter-infra-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(code)
}

// local is the local runtime.
var local = sync.OnceValues(func() (string, error) {
	return filepath.Join(built, "local"), build("./local")
})

// binaries is where those of all parts are, by name.
var binaries = sync.OnceValues(func() (string, error) {
	return built, build("./connector/cmd/...", "./functions/...", "./infra/dispatcher", "./infra/admin")
})

func build(packages ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-o", built + "/"}, packages...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return nil
}

// start runs the local runtime until the test ends, and returns its addresses.
func start(t *testing.T) (listen, admin string) {
	t.Helper()
	path, err := local()
	if err != nil {
		t.Fatal(err)
	}
	listen, admin = listentest.Address(t), listentest.Address(t)
	run(t, exec.Command(path, "--listen", listen, "--admin", admin, "--ephemeral"))
	answers(t, "http://"+listen+"/readyz")
	return listen, admin
}

// run runs a command until the test ends.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stdout, cmd.Stderr = t.Output(), os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended with %v", cmd.Path, err)
		}
	})
}

func answers(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for tick := time.Tick(20 * time.Millisecond); ; {
		res, err := http.Get(url)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick:
		case <-ctx.Done():
			t.Fatalf("%s does not answer: %v", url, err)
		}
	}
}

// person signs up at the server and opens a socket.
func person(t *testing.T, url, name string) (*client.Session, *client.Conn) {
	t.Helper()
	c := client.New(url)
	email := name + "@example.org"
	if _, err := c.SignUp(t.Context(), email, password, name); err != nil {
		t.Fatal(err)
	}
	session, err := c.LogIn(t.Context(), email, password)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := session.Connect(t.Context(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return session, conn
}

// talk sends a message in a new room and waits until it has come back.
func talk(t *testing.T, session *client.Session, conn *client.Conn) {
	t.Helper()
	room, err := session.CreateRoom(t.Context(), "Parrots")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Subscribe(t.Context(), room.ID); err != nil {
		t.Fatal(err)
	}
	sent, err := conn.Send(t.Context(), room.ID, "hi")
	if err != nil {
		t.Fatal(err)
	}
	sees(t, conn, sent)
}

// sees waits until an event has come.
func sees(t *testing.T, conn *client.Conn, sequence chat.Sequence) {
	t.Helper()
	timeout := time.After(3 * time.Minute)
	for {
		select {
		case e, ok := <-conn.Events():
			if !ok {
				t.Fatalf("the socket ended: %v", conn.Err())
			}
			if e.Sequence == sequence {
				return
			}
		case <-timeout:
			t.Fatalf("%s did not come", sequence)
		}
	}
}
