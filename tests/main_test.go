package tests

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"knatter.dev/chat/internal/wait/waittest"
	"knatter.dev/chat/tests/engines/processes/fleet"
)

// slow reports whether the stories are to be told at full size.
var slow = os.Getenv("KNATTER_SLOW") == "1"

// size is one of two sizes of a story.
func size(quick, full int) int {
	if slow {
		return full
	}
	return quick
}

// elsewhere are the URLs of the connectors of a chat that is there already.
var elsewhere = addresses(os.Getenv("KNATTER_TEST_URL"))

func addresses(list string) (all []string) {
	for url := range strings.SplitSeq(list, ",") {
		if url = strings.TrimRight(strings.TrimSpace(url), "/"); url != "" {
			all = append(all, url)
		}
	}
	return all
}

var program string // of ./local; "" with a server elsewhere

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "knatter-stories-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	switch stage := os.Getenv("KNATTER_TEST_STAGE"); {
	case stage == "processes" && elsewhere == nil:
		if processes, err = fleet.Start(context.Background(), fleet.Options{Connectors: 2, Dir: dir}); err != nil {
			fmt.Fprintln(os.Stderr, "starting the processes:", err)
			return 1
		}
		elsewhere = processes.URLs()
	case stage != "":
		fmt.Fprintf(os.Stderr, "KNATTER_TEST_STAGE=%s: only \"processes\", and without KNATTER_TEST_URL\n", stage)
		return 2
	}
	if elsewhere == nil {
		program = filepath.Join(dir, "knatter")
		build := exec.Command("go", "build", "-o", program, "knatter.dev/chat/local")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "building ./local:", err)
			return 1
		}
	}
	code := m.Run()
	if processes != nil {
		if err := processes.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "the processes:", err)
			code = max(code, 1)
		}
	}
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "the stories' common server:", err)
		code = max(code, 1)
	}
	skips.print()
	return code
}

// shared is the server of all stories that need none of their own.
var shared commonServer

type commonServer struct {
	once   sync.Once
	server *Server
	dir    string
}

// common is the server that stories share.
func common(t *testing.T) *Server {
	t.Helper()
	shared.once.Do(func() {
		if elsewhere != nil {
			shared.server = &Server{URL: elsewhere[0], others: elsewhere[1:]}
			return
		}
		dir, err := os.MkdirTemp("", "knatter-common-")
		if err != nil {
			t.Fatal(err)
		}
		shared.dir = dir
		s := &Server{dir: dir}
		if err := s.start(); err != nil {
			t.Fatal(err)
		}
		shared.server = s
	})
	if shared.server == nil {
		t.Fatal("the stories' common server did not start")
	}
	return shared.server
}

func (c *commonServer) stop() error {
	if c.dir == "" {
		return nil
	}
	defer func() { _ = os.RemoveAll(c.dir) }()
	if c.server == nil {
		return nil
	}
	return c.server.stop()
}

// own starts a server for one story, with further flags.
func own(t *testing.T, flags ...string) *Server {
	t.Helper()
	if elsewhere != nil {
		skip(t, "starts servers of its own")
	}
	s := &Server{dir: t.TempDir(), flags: flags}
	s.Start(t)
	t.Cleanup(func() {
		if s.running() {
			s.Stop(t)
		}
	})
	return s
}

// skips are the stories that were not told, and why.
var skips skipped

type skipped struct {
	mu   sync.Mutex
	list []string
}

func skip(t *testing.T, why string) {
	t.Helper()
	skips.mu.Lock()
	skips.list = append(skips.list, fmt.Sprintf("%s: %s", t.Name(), why))
	skips.mu.Unlock()
	t.Skip(why)
}

func (s *skipped) print() {
	slices.Sort(s.list)
	for _, line := range s.list {
		fmt.Println("not run:", line)
	}
}

// patience is how long something may take that should take moments.
const patience = waittest.Patience
