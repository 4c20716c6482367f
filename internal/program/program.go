// Package program is what Knatter's binaries have in common: settings by flags and
// environment, logs, signals, the servers of functions and of those who run it.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/setting"
)

// Exit codes.
const (
	exitFailed  = 1 // while running
	exitSetting = 2 // what was asked for cannot be: a flag, an argument, a setting
)

// Program is one binary, or one command of it.
type Program struct {
	Name      string // as it is called, with its command
	Summary   string // what it does, in a sentence or some
	Arguments string // that it takes beside flags, for the usage; "" for none
	Settings  []setting.Setting

	// Terminal is for a program that people run and look at: logs are text for them, by
	// default of what goes wrong, and what ends it is said in a line.
	Terminal bool

	// Run does it, until it is done or ctx ends. An error of kind Invalid means that
	// a setting is wrong.
	Run func(ctx context.Context, c Call) error
}

// Call is what a program is called with.
type Call struct {
	Env   Env            // what is set, by whichever means
	Args  []string       // none unless the program has Arguments
	Out   io.Writer      // for what people asked for; logs go elsewhere
	Level *slog.LevelVar // the least that is logged
}

// Env are settings by the names of their environment variables.
type Env = setting.Env

// Main runs the program with the process's arguments and environment, and ends the
// process.
func (p Program) Main() {
	os.Exit(p.Execute(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// Execute runs the program and returns its exit code: 0 when it did what it was
// asked to or was told to stop, 1 when it failed, 2 when what was asked for is not
// possible. An interrupt or SIGTERM ends it gracefully, a second one at once.
func (p Program) Execute(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	level := new(slog.LevelVar)
	if p.Terminal {
		level.Set(slog.LevelWarn)
	}
	settings := append(slices.Clip(p.Settings), levelOf(level))
	call, err := p.parse(settings, args, environ)
	switch {
	case errors.Is(err, flag.ErrHelp):
		p.help(stdout, settings)
		return 0
	case errors.Is(err, errVersion):
		_, _ = fmt.Fprintln(stdout, p.Name, Version())
		return 0
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "%s: %v; --help lists what there is\n", p.Name, err)
		return exitSetting
	}
	slog.SetDefault(p.logger(stderr, level))

	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second signal ends the process
	call.Out, call.Level = stdout, level
	if err := p.Run(ctx, call); err != nil {
		if chat.KindOf(err) == chat.Invalid {
			_, _ = fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
			return exitSetting
		}
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return 0
		}
		if p.Terminal {
			_, _ = fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		} else {
			slog.Error("ended", slog.Any("error", err))
		}
		return exitFailed
	}
	return 0
}

func (p Program) logger(w io.Writer, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if p.Terminal {
		return slog.New(Calm(slog.NewTextHandler(w, opts)))
	}
	return slog.New(Calm(slog.NewJSONHandler(w, opts))).With(slog.String("program", p.Name))
}

// Version is the version of the binary, its revision, and that of Go.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	words := []string{info.Main.Version}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			words = append(words, s.Value)
		case s.Key == "vcs.modified" && s.Value == "true":
			words = append(words, "modified")
		}
	}
	return strings.Join(append(words, info.GoVersion), " ")
}
