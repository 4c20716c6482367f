package docs

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"knatter.dev/chat"
)

var pages = []string{
	"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md",
	"SECURITY.md", "CHANGELOG.md", "connector/api/README.md", "infra/README.md", "tests/load/README.md", "tests/hostile/README.md",
}

func read(t *testing.T, page string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// blocks are a page's fenced blocks in a language.
func blocks(page, language string) (list []string) {
	for _, m := range fence.FindAllStringSubmatch(page, -1) {
		if m[1] == language {
			list = append(list, m[2])
		}
	}
	return list
}

// command runs a program in the repository.
func command(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestCommandsExist(t *testing.T) {
	var help string // of the local runtime
	for _, page := range pages {
		for _, block := range blocks(read(t, page), "sh") {
			for line := range strings.Lines(block) {
				words := strings.Fields(line)
				for strings.Contains(words[0], "=") { // a variable of the environment
					words = words[1:]
				}
				t.Run(strings.Join(words, " "), func(t *testing.T) {
					switch {
					case words[0] == "make":
						if out, err := command(t, "make", append([]string{"-n"}, words[1:]...)...); err != nil {
							t.Errorf("%v\n%s", err, out)
						}
					case words[0] == "go" && (words[1] == "run" || words[1] == "test"):
						if out, err := command(t, "go", "list", words[2]); err != nil {
							t.Errorf("%v\n%s", err, out)
						}
						if words[2] != "./local" {
							return
						}
						if help == "" {
							help = helpOf(t)
						}
						for _, word := range words[3:] {
							if strings.HasPrefix(word, "--") && !strings.Contains(help, "\n  "+word+" ") && !strings.Contains(help, "\n  "+word+"\n") {
								t.Errorf("there is no flag %s", word)
							}
						}
					case words[0] == "docker" && words[1] == "compose" && words[2] == "-f": // tests/infra reads it
						if _, err := os.Stat(filepath.Join(root, words[3])); err != nil {
							t.Error(err)
						}
					default:
						t.Errorf("a command that this test does not know")
					}
				})
			}
		}
	}
}

func helpOf(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("--help: %v\n%s", err, out)
	}
	return string(out)
}

// rows are the first cells of the table below a heading.
func rows(t *testing.T, page, heading string) (list []string) {
	t.Helper()
	_, section, ok := strings.Cut(page, "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(section, -1) {
		list = append(list, m[1])
	}
	slices.Sort(list)
	return list
}

func TestDependencyTable(t *testing.T) {
	out, err := command(t, "go", "list", "-test", "-f", `{{join .Imports "\n"}}`, "./...")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	modules := regexp.MustCompile(`(?m)^\s+(\S+\.\S+/\S+) v`).FindAllStringSubmatch("\n"+read(t, "go.mod"), -1)
	used := make(map[string]bool)
	for path := range strings.Lines(out) {
		path = strings.Fields(path + " .")[0]
		var module string
		for _, m := range modules {
			if (path == m[1] || strings.HasPrefix(path, m[1]+"/")) && len(m[1]) > len(module) {
				module = m[1]
			}
		}
		if module != "" {
			used[module] = true
		}
	}
	table := rows(t, read(t, "CONTRIBUTING.md"), "Dependencies")
	for module := range used {
		if !slices.Contains(table, module) {
			t.Errorf("%s is imported and not in the table", module)
		}
	}
	for _, module := range table {
		if !used[module] {
			t.Errorf("%s is in the table and not imported", module)
		}
	}
}

func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range pages {
		text := fence.ReplaceAllString(read(t, page), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			if target != "" {
				if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), target)); err != nil {
					t.Errorf("%s: %v", page, err)
				}
			} else if !slices.Contains(anchors(text), anchor) {
				t.Errorf("%s has no heading #%s", page, anchor)
			}
		}
	}
}

// anchors are those that a page's headings get.
func anchors(text string) (list []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		list = append(list, strings.ReplaceAll(strings.ToLower(m[1]), " ", "-"))
	}
	return list
}

// The README is what somebody new reads; reference belongs to the other pages.
func TestLength(t *testing.T) {
	if n := strings.Count(read(t, "README.md"), "\n"); n > 120 {
		t.Errorf("README.md has %d lines", n)
	}
}

// Whatever looks like a path of the repository is one.
func TestPaths(t *testing.T) {
	path := regexp.MustCompile("`((?:connector|functions|infra|internal|local|tests)/[^`\\s]*|[a-z_]+\\.go)`")
	found := 0
	for _, page := range pages {
		for _, m := range path.FindAllStringSubmatch(read(t, page), -1) {
			found++
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d paths were found", found)
	}
}

// The README's program works, word for word but for the address.
func TestProgram(t *testing.T) {
	programs := blocks(read(t, "README.md"), "go")
	if len(programs) != 1 {
		t.Fatalf("%d programs", len(programs))
	}
	s := start(t)
	file := filepath.Join(t.TempDir(), "main.go")
	program := strings.ReplaceAll(programs[0], "http://localhost:8080", s.url())
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := command(t, "go", "run", file)
	if err != nil || !strings.Contains(out, "안녕하세요!") {
		t.Errorf("got %v, %s", err, out)
	}
}

// The protocol's frames are what AsyncAPI says.
func TestFrames(t *testing.T) {
	d := asyncAPI(t)
	schemas := d.messages(t, sentByClient...)
	for _, block := range blocks(read(t, "connector/api/README.md"), "json") {
		for line := range strings.Lines(block) {
			e, err := chat.DecodeFrame(bytes.TrimSpace([]byte(line)))
			if err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			at := schemas[string(e.Type)]
			if at == "" {
				t.Fatalf("%s is no frame of a client", e.Type)
			}
			d.check(t, "the protocol", at, unmarshal(t, line))
		}
	}
}

// Decisions have one form, and none is there twice.
func TestDecisions(t *testing.T) {
	text := read(t, "ARCHITECTURE.md")
	_, decisions, ok := strings.Cut(text, "\n## Decisions\n")
	if !ok {
		t.Fatal("no section Decisions")
	}
	heading := regexp.MustCompile(`^\d{4}-\d{2}-\d{2}: \S.*$`)
	label := regexp.MustCompile(`(?m)^- \*\*(\w+):\*\* \S`)
	titles := make(map[string]bool)
	for _, record := range strings.Split(decisions, "\n### ")[1:] {
		record, _, _ = strings.Cut(record, "\n## ")
		title, body, _ := strings.Cut(record, "\n")
		if !heading.MatchString(title) || titles[title[min(12, len(title)):]] {
			t.Errorf("a decision has the heading %q", title)
			continue
		}
		titles[title[12:]] = true
		var labels []string
		for _, m := range label.FindAllStringSubmatch(body, -1) {
			labels = append(labels, m[1])
		}
		if want := []string{"Context", "Decision", "Evidence", "Consequence"}; !slices.Equal(labels, want) {
			t.Errorf("%s: has %v, want %v", title, labels, want)
		}
	}
	if len(titles) < 40 {
		t.Errorf("only %d decisions were found", len(titles))
	}
}

// The glossary has each word once, in order.
func TestGlossary(t *testing.T) {
	_, table, _ := strings.Cut(read(t, "ARCHITECTURE.md"), "\n## Glossary\n")
	table, _, _ = strings.Cut(table, "\n## ")
	var words []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z ]+) \|`).FindAllStringSubmatch(table, -1) {
		if m[1] != "word" {
			words = append(words, m[1])
		}
	}
	if want := slices.Compact(slices.Sorted(slices.Values(words))); len(words) < 30 || !slices.Equal(words, want) {
		t.Errorf("got %v, want each once and in order", words)
	}
}

// Tests that a page names as evidence are there.
func TestNamedTests(t *testing.T) {
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`")
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	there := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(b), -1) {
			there[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range pages {
		for _, m := range named.FindAllStringSubmatch(read(t, page), -1) {
			if found++; !there[m[1]] {
				t.Errorf("%s: there is no test %s", page, m[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d tests are named", found)
	}
}
