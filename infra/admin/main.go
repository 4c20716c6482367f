// Command admin is for operators of Knatter: it creates the topics, lists and replays
// dead letters, rewinds groups, empties the index, and checks a data directory.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"knatter.dev/chat/internal/program"
)

// commands are the commands, by the words that call them.
func commands() []program.Program {
	return []program.Program{
		topics(), new(listing).program(), newReplaying().program(), newRewinding().program(), new(wiping).program(), new(checking).program(),
	}
}

func main() {
	os.Exit(execute(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// execute runs a command and returns the exit code; see [program.Program.Execute].
func execute(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	for _, c := range commands() {
		words := strings.Fields(c.Name)[1:]
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == strings.Join(words, " ") {
			return c.Execute(ctx, args[len(words):], environ, stdout, stderr)
		}
	}
	if len(args) > 0 && (args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
		help(stdout)
		return 0
	}
	if len(args) > 0 {
		_, _ = fmt.Fprintf(stderr, "admin: there is no command %q\n\n", strings.Join(args, " "))
	}
	help(stderr)
	return 2
}

func help(w io.Writer) {
	_, _ = fmt.Fprint(w, "Usage: admin COMMAND [flags]\n\n")
	for _, c := range commands() {
		summary, _, _ := strings.Cut(c.Summary, "\n")
		_, _ = fmt.Fprintf(w, "  %-28s %s\n", strings.TrimSpace(strings.TrimPrefix(c.Name, "admin ")+" "+c.Arguments), summary)
	}
	_, _ = fmt.Fprint(w, "\nRun admin COMMAND --help for more.\n")
}
