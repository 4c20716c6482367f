// Command deploy puts functions on a Kubernetes cluster with Knative, by the func
// CLI that infra/tools pins:
//
//	go run ./infra/deploy -namespace chat -registry ghcr.io/you fanout persist
//
// Where the cluster is says kubectl's configuration. Without names it deploys all
// functions. What comes after -- goes to func deploy as it is.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "deploy:", err)
		}
		os.Exit(1)
	}
}

// deployment holds the command line.
type deployment struct {
	namespace, registry string
	insecure            bool
	warm                []string // functions that keep one replica
	functions           []string
	extra               []string // flags for func
}

func run(ctx context.Context, args []string) error {
	m, err := product(ctx)
	if err != nil {
		return err
	}
	all, err := functions(m.Dir)
	if err != nil {
		return err
	}
	d, err := parse(args, all)
	if err != nil {
		return err
	}
	tool, err := funcTool(ctx, m.Dir)
	if err != nil {
		return err
	}
	for _, name := range d.functions {
		fmt.Printf("== %s\n", name)
		dir, err := stage(m, name, slices.Contains(d.warm, name))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		deploy := command(ctx, dir, tool, append([]string{"deploy"}, d.flags()...)...)
		if err := deploy.Run(); err != nil {
			return fmt.Errorf("%s: func deploy, in %s: %w", name, dir, err)
		}
	}
	return nil
}

// parse parses the command line. all are the existing functions.
func parse(args, all []string) (*deployment, error) {
	var d deployment
	if i := slices.Index(args, "--"); i >= 0 {
		args, d.extra = args[:i], args[i+1:]
	}
	var warm string
	f := flag.NewFlagSet("deploy", flag.ContinueOnError)
	f.StringVar(&d.namespace, "namespace", "", "`namespace` to deploy into; required")
	f.StringVar(&d.registry, "registry", "", "`registry` and account that images are pushed to, as ghcr.io/you; required")
	f.BoolVar(&d.insecure, "registry-insecure", false, "the registry has no TLS, or a certificate that nobody knows")
	f.StringVar(&warm, "warm", "", "`functions`, separated by commas, that keep at least one replica, or all; the others may go to zero")
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "usage: deploy -namespace NAMESPACE -registry REGISTRY [flags] [function …] [-- flags of func deploy]\n\nFunctions: %s\n\n", strings.Join(all, " "))
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if d.namespace == "" || d.registry == "" {
		return nil, errors.New("-namespace and -registry are required")
	}
	if d.functions = f.Args(); len(d.functions) == 0 {
		d.functions = all
	}
	d.warm = strings.FieldsFunc(warm, func(r rune) bool { return r == ',' || r == ' ' })
	if warm == "all" {
		d.warm = all
	}
	for _, name := range slices.Concat(d.functions, d.warm) {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("unknown function %q: want one of %s", name, strings.Join(all, ", "))
		}
	}
	return &d, nil
}

// flags returns the flags for func deploy.
func (d *deployment) flags() []string {
	flags := []string{"--builder=host", "--namespace", d.namespace, "--registry", d.registry}
	if d.insecure {
		flags = append(flags, "--registry-insecure")
	}
	return append(flags, d.extra...)
}

const modulePath = "knatter.dev/chat"

// module returns the product's module, as it is here.
type module struct{ Path, Dir, GoVersion string }

func product(ctx context.Context) (m module, err error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-json", modulePath).Output()
	if err != nil {
		return m, fmt.Errorf("go list -m %s, to be run inside of its folder: %w", modulePath, err)
	}
	return m, json.Unmarshal(out, &m)
}

// functions returns the names of all functions.
func functions(root string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(root, "functions", "*", "func.yaml"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(fmt.Errorf("no functions in %s", root), err)
	}
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = filepath.Base(filepath.Dir(file))
	}
	return names, nil
}

// funcTool returns the path of the func CLI, which it builds if needed.
func funcTool(ctx context.Context, root string) (string, error) {
	build := exec.CommandContext(ctx, "go", "tool", "-n", "func")
	build.Dir = filepath.Join(root, "infra", "tools")
	build.Stderr = os.Stderr
	out, err := build.Output()
	if err != nil {
		return "", fmt.Errorf("building func: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// command returns a command that runs func in a staged folder. Go leaves debugging
// tables and the paths of this machine out of the image.
func command(ctx context.Context, dir, tool string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, tool, args...)
	c.Dir = dir
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.Env = append(os.Environ(),
		"GOWORK=", // the one in dir
		strings.TrimSpace("GOFLAGS="+os.Getenv("GOFLAGS")+" -trimpath '-ldflags=-s -w'"))
	return c
}
