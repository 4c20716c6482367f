package docs

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of flags again")

// setting is one entry of a program's --help.
type setting struct {
	flag, value, variable, standard, bounds, usage string
	programs                                       []string
}

var entry = regexp.MustCompile(`(?m)^  (?:(--[a-z-]+)(?: (\S+))?(?:  )?)?([A-Z_]+)?(?:  \((?:default )?([^\n]*)\))?(?:  \[([^\n]*)\])?\n      (.+)$`)

// settingsOf reads a program's --help.
func settingsOf(help string) (list []setting) {
	for _, m := range entry.FindAllStringSubmatch(help, -1) {
		list = append(list, setting{flag: m[1], value: m[2], variable: m[3], standard: m[4], bounds: m[5], usage: m[6]})
	}
	return list
}

// name is how the setting is written on a command line; empty if it has no flag.
func (s setting) name() string {
	if s.flag == "" {
		return ""
	}
	return code(strings.TrimSpace(s.flag + " " + s.value))
}

func (s setting) defaults() string {
	if s.standard == "required" {
		return s.standard
	}
	return code(s.standard)
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// checkTable compares what is between two comments of a page with a table, or
// writes it there.
func checkTable(t *testing.T, page, name string, lines []string) {
	t.Helper()
	text := read(t, page)
	begin, end := "<!-- "+name+" -->\n", "<!-- end -->\n"
	before, rest, ok := strings.Cut(text, begin)
	got, after, okay := strings.Cut(rest, end)
	if !ok || !okay {
		t.Fatalf("%s has no table %q", page, name)
	}
	want := strings.Join(lines, "\n") + "\n"
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("%s: the table is not what --help says; go test ./tests/docs -run Flags -update writes it again. It should be\n%s", page, want)
	}
	if err := os.WriteFile(filepath.Join(root, page), []byte(before+begin+want+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFlagsOfLocal(t *testing.T) {
	lines := []string{"| flag | variable | what it does | default | bounds |", "|---|---|---|---|---|"}
	for _, s := range settingsOf(helpOf(t)) {
		lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s | %s |", s.name(), code(s.variable), s.usage, s.defaults(), s.bounds))
	}
	checkTable(t, "infra/README.md", "flags of local", lines)
}

// Every program is run for its --help, which takes compiling all of them.
func TestFlagsOfPrograms(t *testing.T) {
	if os.Getenv("KNATTER_SLOW") == "" {
		t.Skip("slow; set KNATTER_SLOW")
	}
	programs := built(t)
	var all []setting
	var names []string
	for _, p := range programs {
		if p.function {
			names = append(names, p.name)
		}
		out, err := p.run(t, nil, "--help")
		if err != nil {
			t.Fatalf("%s: %v\n%s", p.name, err, out)
		}
		for _, s := range settingsOf(out) {
			same := func(o setting) bool {
				return o.flag == s.flag && o.variable == s.variable && o.standard == s.standard && o.bounds == s.bounds && o.usage == s.usage
			}
			at := slices.IndexFunc(all, same)
			if at < 0 {
				all, at = append(all, s), len(all)
			}
			if !slices.Contains(all[at].programs, p.name) {
				all[at].programs = append(all[at].programs, p.name)
			}
		}
	}
	lines := []string{"| flag | variable | what it does | default | bounds | of |", "|---|---|---|---|---|---|"}
	for _, s := range all {
		lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", s.name(), code(s.variable), s.usage, s.defaults(), s.bounds, among(s.programs, names)))
	}
	checkTable(t, "infra/README.md", "flags of programs", lines)
}

// among names programs, with all functions as one.
func among(programs, functions []string) string {
	others := slices.DeleteFunc(slices.Clone(programs), func(p string) bool { return slices.Contains(functions, p) })
	switch {
	case len(others) == len(programs)-len(functions):
		others = append(others, "every function")
	default:
		others = slices.Clone(programs)
	}
	if slices.Contains(others, "connector") && slices.Contains(others, "every function") && slices.Contains(others, "dispatcher") && slices.Contains(others, "admin") {
		return "all"
	}
	return strings.Join(others, ", ")
}
