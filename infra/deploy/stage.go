package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// stage makes the folder that func deploys a function from, and returns it.
//
// func takes the package in func.yaml's folder for the function, wants a go.mod
// beside it, and builds a program of its own in .func/build there, which imports
// that package. The folder therefore has a package that does nothing but return
// the function, and a go.work, which Go finds when func builds: by that the program
// uses the product's module as it lies here.
//
// It is below bin, thus inside the repository: func labels the image with the
// commit that it finds.
func stage(m module, name string, warm bool) (dir string, err error) {
	config, err := os.ReadFile(filepath.Join(m.Dir, "functions", name, "func.yaml"))
	if err != nil {
		return "", err
	}
	if warm {
		if config, err = keepOne(config); err != nil {
			return "", fmt.Errorf("func.yaml: %w", err)
		}
	}
	dir = filepath.Join(m.Dir, "bin", "deploy", name)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", err
	}
	values := struct {
		module
		Name string
	}{m, name}
	for file, text := range files {
		var b strings.Builder
		if err := text.Execute(&b, values); err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(b.String()), 0o644); err != nil {
			return "", err
		}
	}
	if slices.Contains(analysing, name) {
		text, err := os.ReadFile(filepath.Join(m.Dir, notice))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, "NOTICE.txt"), text, 0o644); err != nil {
			return "", err
		}
	}
	return dir, os.WriteFile(filepath.Join(dir, "func.yaml"), config, 0o644)
}

// analysing are the functions that have the dictionary in them. Its licences want to
// be handed on with it; func puts what is in the folder into the image, below /func.
var analysing = []string{"index", "search"}

const notice = "internal/analysis/lexicon/NOTICE.txt"

var files = map[string]*template.Template{
	"go.mod": template.Must(template.New("").Parse("module function\n\ngo {{.GoVersion}}\n")),
	"go.work": template.Must(template.New("").Parse(`go {{.GoVersion}}

use (
	./.func/build
	{{printf "%q" .Dir}}
)
`)),
	"function.go": template.Must(template.New("").Parse(`// Package function is what func deploys.
package function

import (
	"net/http"

	"{{.Path}}/functions/{{.Name}}"
)

// New returns the function, which func starts. Its type is internal to its module.
func New() interface {
	Handle(http.ResponseWriter, *http.Request)
} {
	return {{.Name}}.Spec.Instance()
}
`)),
}

// keepOne is a func.yaml by which one replica at least stays.
func keepOne(config []byte) ([]byte, error) {
	var f struct {
		Deploy struct {
			Options struct {
				Scale struct {
					Min   int
					Other map[string]any `yaml:",inline"`
				}
				Other map[string]any `yaml:",inline"`
			}
			Other map[string]any `yaml:",inline"`
		}
		Other map[string]any `yaml:",inline"`
	}
	if err := yaml.Unmarshal(config, &f); err != nil {
		return nil, err
	}
	f.Deploy.Options.Scale.Min = max(f.Deploy.Options.Scale.Min, 1)
	return yaml.Marshal(&f)
}
