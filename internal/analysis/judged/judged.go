// Judged measures the search on a judged set: messages, and queries of which it is
// known by how they were made whether they must find a message. messages.txt and
// queries.tsv (kind, + or - for must and must not, message, query) are made by
// -generate, of chat.txt here and the constitution of Korea as konlpy ships it;
// without it the table of README.md beside the package is made.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"knatter.dev/chat/internal/analysis"
)

func main() {
	generate := flag.String("generate", "", "make the judged set, with the text in this file")
	nori := flag.String("nori", "", "what nori finds, a line of 0 or 1 for each query")
	dir := flag.String("dir", "internal/analysis/judged", "where the judged set is")
	flag.Parse()
	if err := run(*dir, *generate, *nori); err != nil {
		log.Fatal(err)
	}
}

func run(dir, text, nori string) error {
	if text != "" {
		return generate(dir, text)
	}
	messages, err := lines(filepath.Join(dir, "messages.txt"))
	if err != nil {
		return err
	}
	items, err := read(dir)
	if err != nil {
		return err
	}
	engines := []engine{{"ours", ours(messages, items)}}
	if nori != "" {
		answers, err := lines(nori)
		if err != nil {
			return err
		}
		if len(answers) != len(items) {
			return fmt.Errorf("%s has %d answers to %d queries", nori, len(answers), len(items))
		}
		engines = append(engines, engine{"nori", func(i int) bool { return answers[i] == "1" }})
	}
	engines = append(engines, engine{"LIKE", like(messages, items)})
	return write(filepath.Join(dir, "..", "README.md"), table(items, engines))
}

// item is a query of a kind that must, or must not, find a message.
type item struct {
	kind    string
	must    bool
	message int
	query   string
}

func read(dir string) (items []item, err error) {
	all, err := lines(filepath.Join(dir, "queries.tsv"))
	for _, line := range all {
		var it item
		f := strings.Split(line, "\t")
		if _, err := fmt.Sscan(f[2], &it.message); err != nil {
			return nil, err
		}
		it.kind, it.must, it.query = f[0], f[1] == "+", f[3]
		items = append(items, it)
	}
	return items, err
}

func lines(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), err
}

// engine says whether it finds the message of an item.
type engine struct {
	name  string
	finds func(i int) bool
}

// ours is what the index and then the reading of the text find.
func ours(messages []string, items []item) func(i int) bool {
	terms := make([]map[string]bool, len(messages))
	for i, text := range messages {
		terms[i] = make(map[string]bool)
		for _, term := range analysis.Terms(text) {
			terms[i][term] = true
		}
	}
	return func(i int) bool {
		it := &items[i]
		query := analysis.Parse(it.query)
		for _, word := range query.Words() {
			if !slices.ContainsFunc(word.Any, func(all []string) bool {
				return !slices.ContainsFunc(all, func(term string) bool { return !terms[it.message][term] })
			}) {
				return false
			}
		}
		_, all := query.Match(messages[it.message])
		return all
	}
}

// like is what a plain LIKE '%query%' finds, without case.
func like(messages []string, items []item) func(i int) bool {
	return func(i int) bool {
		it := &items[i]
		return strings.Contains(strings.ToLower(messages[it.message]), strings.ToLower(strings.Trim(it.query, `"`)))
	}
}

func table(items []item, engines []engine) string {
	var b strings.Builder
	b.WriteString("| kind | must find | must not |")
	for _, e := range engines {
		fmt.Fprintf(&b, " %s: found | false |", e.name)
	}
	b.WriteString("\n|---|---:|---:|" + strings.Repeat("---:|---:|", len(engines)) + "\n")
	var kinds []string
	for _, it := range items {
		if !slices.Contains(kinds, it.kind) {
			kinds = append(kinds, it.kind)
		}
	}
	for _, kind := range append(kinds, "all") {
		counts := make([][2]int, len(engines)) // found that must be, and that must not
		var total [2]int
		for i, it := range items {
			if it.kind != kind && kind != "all" {
				continue
			}
			side := 1
			if it.must {
				side = 0
			}
			total[side]++
			for k, e := range engines {
				if e.finds(i) {
					counts[k][side]++
				}
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %d |", kind, total[0], total[1])
		for _, c := range counts {
			fmt.Fprintf(&b, " %.3f | %.3f |", share(c[0], total[0]), share(c[1], total[1]))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func share(n, of int) float64 { return float64(n) / float64(max(of, 1)) }

// write puts the table between its marks in a file.
func write(file, table string) error {
	const begin, end = "<!-- table -->\n", "<!-- end -->"
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for the table", file)
	}
	fmt.Print(table)
	return os.WriteFile(file, []byte(before+begin+table+end+after), 0o666)
}
