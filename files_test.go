package chat_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFilesDependOneWay checks that no two files of the package need each other,
// directly or by way of others: each can be read by who knows those below it.
func TestFilesDependOneWay(t *testing.T) {
	needs := dependencies(t)
	for read := -1; read != len(needs); {
		read = len(needs)
		for name, others := range needs {
			if !slices.ContainsFunc(others, func(o string) bool { _, left := needs[o]; return left }) {
				delete(needs, name)
			}
		}
	}
	for name, others := range needs {
		t.Errorf("%s is in a circle: it needs %s", name, strings.Join(others, ", "))
	}
}

// dependencies are the files that each file of the package uses names of.
func dependencies(t *testing.T) map[string][]string {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	needs := make(map[string][]string)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
		needs[name] = nil
	}
	info := types.Info{Uses: make(map[*ast.Ident]types.Object)}
	config := types.Config{Importer: nothing{}, Error: func(error) {}} // what others declare doesn't matter here
	pkg, _ := config.Check("knatter.dev/chat", fset, files, &info)
	for used, what := range info.Uses {
		_, isFunc := what.(*types.Func)
		if what.Pkg() != pkg || what.Parent() != pkg.Scope() && !isFunc {
			continue // of another package, or a field or variable
		}
		by, in := fset.Position(used.Pos()).Filename, fset.Position(what.Pos()).Filename
		if by != in && !slices.Contains(needs[by], in) {
			needs[by] = append(needs[by], in)
		}
	}
	return needs
}

// nothing imports nothing.
type nothing struct{}

func (nothing) Import(string) (*types.Package, error) { return nil, errors.New("not needed") }
