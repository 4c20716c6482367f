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

// stage creates the folder from which func deploys a function, and returns it.
//
// func expects the function's package in the folder of func.yaml, with a go.mod beside
// it, and builds a program that imports the package in .func/build there. So the folder
// has a package that only returns the function, and a go.work, which Go finds when func
// builds: with it the program uses the product's module as it is here.
//
// The folder is below bin, and so inside the repository, since func labels the image
// with the commit that it finds.
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

// analysing are the functions that contain the dictionary. Its licences require that
// they are passed on. func puts the files in the folder into the image, below /func.
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

// keepOne returns a func.yaml with which at least one replica remains.
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
