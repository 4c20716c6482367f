package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// A test that sleeps is slow, or fails on a slow machine. CONTRIBUTING.md says what to
// do instead, and that a sleep which has to be says on its line what it is for.
func TestSleepsHaveReasons(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		explained := make(map[int]bool) // lines
		for _, c := range f.Comments {
			explained[files.Position(c.Pos()).Line] = true
		}
		for _, decl := range f.Decls {
			if calls(decl, "synctest", "Test") != nil {
				continue // its clock is none of ours
			}
			for _, at := range calls(decl, "time", "Sleep") {
				if at := files.Position(at); !explained[at.Line] {
					t.Errorf("%s: time.Sleep without a reason: wait for a condition (waittest.Until), or use synctest", at)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// calls returns where a function of a package is mentioned.
func calls(in ast.Node, pkg, function string) (at []token.Pos) {
	ast.Inspect(in, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == function {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == pkg {
				at = append(at, s.Pos())
			}
		}
		return true
	})
	return at
}
