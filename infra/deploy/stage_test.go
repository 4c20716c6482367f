package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// config is what the tests look at in a func.yaml.
type config struct {
	Name, Runtime, Invoke string
	Run                   struct {
		Envs []struct{ Name, Value string }
	}
	Deploy struct {
		HealthEndpoints struct{ Liveness, Readiness string } `yaml:"healthEndpoints"`
		Options         struct {
			Scale struct {
				Min, Max            *int
				Metric              string
				Target, Utilization float64
			}
			Resources struct {
				Requests, Limits struct {
					CPU, Memory string
					Concurrency *int
				}
			}
		}
	}
}

func read(t *testing.T, file string) (c config) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &c); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return c
}

func here(t *testing.T) (module, []string) {
	t.Helper()
	m, err := product(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names, err := functions(m.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return m, names
}

func TestEveryFunctionIsConfigured(t *testing.T) {
	m, names := here(t)
	folders, err := filepath.Glob(filepath.Join(m.Dir, "functions", "*", "cmd"))
	if err != nil || len(folders) != len(names) {
		t.Errorf("%d folders, %d with a func.yaml, %v", len(folders), len(names), err)
	}
	for _, name := range names {
		c := read(t, filepath.Join(m.Dir, "functions", name, "func.yaml"))
		scale, resources := c.Deploy.Options.Scale, c.Deploy.Options.Resources
		if c.Name != "knatter-"+name || c.Runtime != "go" || c.Invoke != "http" {
			t.Errorf("%s: %+v", name, c)
		}
		if health := c.Deploy.HealthEndpoints; health.Liveness == "" || health.Readiness == "" {
			t.Errorf("%s: probes %+v", name, health)
		}
		if scale.Min == nil || *scale.Min != 0 || scale.Max == nil || *scale.Max < 1 || scale.Metric == "" || scale.Target <= 0 || scale.Utilization <= 0 {
			t.Errorf("%s: scale %+v", name, scale)
		}
		if limit := resources.Limits; resources.Requests.CPU == "" || resources.Requests.Memory == "" || limit.Memory == "" ||
			limit.Concurrency == nil || float64(*limit.Concurrency) < scale.Target {
			t.Errorf("%s: resources %+v", name, resources)
		}
		for _, env := range c.Run.Envs {
			if env.Name == "GOMEMLIMIT" {
				var most, limit int // Go's collector works harder before the limit, not at it
				_, err := fmt.Sscanf(env.Value+" "+resources.Limits.Memory, "%dMiB %dMi", &most, &limit)
				if err != nil || most > limit*7/8 || most < limit/2 {
					t.Errorf("%s: GOMEMLIMIT %s of %s, %v", name, env.Value, resources.Limits.Memory, err)
				}
			} else if !strings.Contains(env.Value, "{{") {
				t.Errorf("%s: %s is neither in a ConfigMap nor in a Secret", name, env.Name)
			}
		}
	}
}

func TestStage(t *testing.T) {
	m, names := here(t)
	m.Dir = copied(t, m.Dir)
	for _, name := range names {
		for _, warm := range []bool{true, false} {
			dir, err := stage(m, name, warm)
			if err != nil {
				t.Fatal(err)
			}
			given := read(t, filepath.Join(m.Dir, "functions", name, "func.yaml"))
			got := read(t, filepath.Join(dir, "func.yaml"))
			if warm {
				if *got.Deploy.Options.Scale.Min != 1 {
					t.Errorf("%s: warm, but %d replicas stay", name, *got.Deploy.Options.Scale.Min)
				}
				*given.Deploy.Options.Scale.Min = 1
			}
			if g, w := text(t, got), text(t, given); g != w {
				t.Errorf("%s: func.yaml is\n%s\nwant\n%s", name, g, w)
			}
			for file, want := range map[string]string{
				"go.mod":      "go " + m.GoVersion,
				"go.work":     m.Dir,
				"function.go": modulePath + "/functions/" + name,
			} {
				if b, err := os.ReadFile(filepath.Join(dir, file)); err != nil || !strings.Contains(string(b), want) {
					t.Errorf("%s: %s has no %q: %s, %v", name, file, want, b, err)
				}
			}
			dependencies, err := exec.CommandContext(t.Context(), "go", "list", "-deps", modulePath+"/functions/"+name).Output()
			if err != nil {
				t.Fatal(err)
			}
			_, err = os.Stat(filepath.Join(dir, "NOTICE.txt"))
			if analyses := strings.Contains(string(dependencies), "internal/analysis/lexicon"); analyses != (err == nil) {
				t.Errorf("%s: has the dictionary: %t; its notice: %v", name, analyses, err)
			}
		}
	}
	if _, err := stage(m, "nothing", false); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a function that isn't there: %v", err)
	}
}

// copied is a folder with what is staged of the product.
func copied(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"functions", filepath.Dir(notice)} {
		if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join(root, folder))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func text(t *testing.T, c config) string {
	t.Helper()
	b, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestKeepOne(t *testing.T) {
	for given, want := range map[string]string{
		"name: a\n": "min: 1",
		"deploy: {options: {scale: {min: 0, max: 4}}}": "max: 4",
		"deploy: {options: {scale: {min: 3}}}":         "min: 3",
	} {
		if got, err := keepOne([]byte(given)); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: got %s, %v, want %s", given, got, err, want)
		}
	}
	if got, err := keepOne([]byte("deploy: 3")); err == nil {
		t.Errorf("got %s, want an error", got)
	}
}

func TestParse(t *testing.T) {
	all := []string{"fanout", "persist", "search"}
	d, err := parse([]string{"-namespace", "chat", "-registry", "r/k", "-registry-insecure",
		"-warm", "fanout,persist", "search", "--", "--service-account", "s"}, all)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(d.functions, []string{"search"}) || !slices.Equal(d.warm, []string{"fanout", "persist"}) {
		t.Errorf("got %+v", d)
	}
	if got := strings.Join(d.flags(), " "); got != "--builder=host --namespace chat --registry r/k --registry-insecure --service-account s" {
		t.Errorf("flags: %s", got)
	}
	if d, err = parse([]string{"-namespace", "chat", "-registry", "r/k", "-warm", "all"}, all); err != nil ||
		!slices.Equal(d.functions, all) || !slices.Equal(d.warm, all) {
		t.Errorf("got %+v, %v", d, err)
	}
	for _, args := range [][]string{
		{},
		{"-namespace", "chat"},
		{"-registry", "r/k"},
		{"-namespace", "chat", "-registry", "r/k", "fan"},
		{"-namespace", "chat", "-registry", "r/k", "-warm", "fan"},
		{"-unknown"},
	} {
		if d, err := parse(args, all); err == nil {
			t.Errorf("%q: got %+v, want an error", args, d)
		}
	}
}

// TestFuncBuildsEveryFunction has the real func make the images, and starts what is
// in them.
func TestFuncBuildsEveryFunction(t *testing.T) {
	if os.Getenv("KNATTER_SLOW") == "" {
		t.Skip("builds the func CLI and seven programs: KNATTER_SLOW=1")
	}
	m, names := here(t)
	tool, err := funcTool(t.Context(), m.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			dir, err := stage(m, name, false)
			if err != nil {
				t.Fatal(err)
			}
			build := command(t.Context(), dir, tool, "build", "--builder=host", "--registry", "registry.test/knatter")
			if err := build.Run(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(dir, ".func", "build", "oci", "index.json")); err != nil {
				t.Error(err)
			}
			// It starts, and misses what the cluster would tell it.
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			program := exec.CommandContext(ctx, filepath.Join(dir, ".func", "build", "result", "f.linux.amd64"))
			program.Env = []string{"LISTEN_ADDRESS=127.0.0.1:0"}
			if out, err := program.CombinedOutput(); err == nil || ctx.Err() != nil || !strings.Contains(string(out), "KNATTER_") {
				t.Errorf("%v, %s", err, out)
			}
		})
	}
}
