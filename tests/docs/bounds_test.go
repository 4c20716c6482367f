package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// executable is a program that was built, with the words of one of its commands.
type executable struct {
	name, path string
	words      []string
	function   bool
}

// run runs the program until it ends by itself.
func (e executable) run(t *testing.T, environ []string, args ...string) (out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // what it should refuse it might serve
	defer cancel()
	c := exec.CommandContext(ctx, e.path, append(append([]string{}, e.words...), args...)...)
	c.Dir = t.TempDir()
	c.Env = append([]string{"PATH=" + os.Getenv("PATH")}, environ...)
	b, err := c.CombinedOutput()
	return string(b), err
}

// built are all programs but the local one, with all commands of admin.
func built(t *testing.T) (all []executable) {
	t.Helper()
	dir := t.TempDir()
	functions, err := filepath.Glob(filepath.Join(root, "functions/*/cmd/*"))
	if err != nil || len(functions) == 0 {
		t.Fatalf("%d functions, %v", len(functions), err)
	}
	packages := []string{"./connector/cmd/connector", "./infra/dispatcher", "./infra/admin"}
	all = append(all, executable{name: "connector", path: filepath.Join(dir, "connector")})
	for _, path := range functions {
		name := filepath.Base(path)
		packages = append(packages, "./functions/"+name+"/cmd/"+name)
		all = append(all, executable{name: name, path: filepath.Join(dir, name), function: true})
	}
	all = append(all, executable{name: "dispatcher", path: filepath.Join(dir, "dispatcher")})
	for _, words := range []string{"topics", "dead-letters list", "dead-letters replay", "rewind", "wipe-index", "check"} {
		all = append(all, executable{name: "admin", path: filepath.Join(dir, "admin"), words: strings.Fields(words)})
	}
	if out, err := command(t, "go", append([]string{"build", "-o", dir}, packages...)...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return all
}

// hostile are values that a setting of a kind refuses, whichever its bounds are.
var hostile = map[string][]string{
	"number": {"-2", "-99999999999999999999", "99999999999999999999", "9223372036854775807", "1.5", "1e3", "many", "0x10", " 1", "NaN"},
	"bytes":  {"0", "-2", "99999999999999999999", "9223372036854775807", "1GB", "1.5", "many"},
	"time":   {"0", "0s", "-3s", "1ns", "2000h", "99999999999999999999s", "25", "soon", " 25s"},
}

// Every setting with bounds of every program refuses what is out of them, in one line
// with the name of the flag or the variable that it came by.
func TestBoundsOfLocal(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	checkBounds(t, executable{name: "knatter", path: path})
}

// All programs have to be built for this.
func TestBoundsOfPrograms(t *testing.T) {
	if os.Getenv("KNATTER_SLOW") == "" {
		t.Skip("slow; set KNATTER_SLOW")
	}
	for _, e := range built(t) {
		t.Run(strings.Join(append([]string{e.name}, e.words...), " "), func(t *testing.T) { checkBounds(t, e) })
	}
}

func checkBounds(t *testing.T, e executable) {
	t.Helper()
	help, err := e.run(t, nil, "--help")
	if err != nil {
		t.Fatalf("%v\n%s", err, help)
	}
	checked := 0
	var cases sync.WaitGroup
	for _, s := range settingsOf(help) {
		kind := s.value
		if s.variable == "PORT" { // what has no flag shows no kind
			kind = "number"
		}
		values := hostile[kind]
		if (len(values) > 0) != (s.bounds != "") {
			t.Errorf("%s, %s: a %s with the bounds %q", s.flag, s.variable, s.value, s.bounds)
		}
		if kind == "number" && strings.HasPrefix(s.bounds, "1 to") {
			values = append([]string{"0", "-1"}, values...)
		}
		if kind == "time" {
			values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return within(v, s.bounds) })
		}
		checked += len(values)
		cases.Go(func() {
			for _, value := range values {
				e.refuses(t, s.variable, value, []string{s.variable + "=" + value})
				if s.flag != "" {
					e.refuses(t, s.flag, value, nil, s.flag, value)
				}
			}
		})
	}
	cases.Wait()
	t.Logf("%d values", checked)
}

// within reports whether a time is within bounds, as help shows them.
func within(value, bounds string) bool {
	from, to, _ := strings.Cut(bounds, " to ")
	v, err := time.ParseDuration(value)
	if err != nil {
		return false
	}
	least, err := time.ParseDuration(from)
	if err != nil {
		return false
	}
	most, err := time.ParseDuration(to)
	return err == nil && v >= least && v <= most
}

// refuses wants the program to end with exit code 2, and to say why in a line that
// begins with its name and the setting's.
func (e executable) refuses(t *testing.T, name, value string, environ []string, args ...string) {
	t.Helper()
	out, err := e.run(t, environ, args...)
	code := -1
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	}
	want := strings.Join(append([]string{e.name}, e.words...), " ") + ": " + name + " must be "
	if code != 2 || !strings.HasPrefix(out, want) || strings.Count(out, "\n") != 1 || !strings.Contains(out, "--help") {
		t.Errorf("%s set to %q: exit code %d, %s", name, value, code, out)
	}
}
