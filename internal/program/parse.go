package program

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/setting"
)

var errVersion = errors.New("the version was asked for")

// levelOf is the setting of the least level that is logged.
func levelOf(level *slog.LevelVar) setting.Setting {
	s := setting.Func("log-level", "level", "Minimum level to log: debug, info, warn or error", func(value string) error {
		if level.UnmarshalText([]byte(value)) != nil {
			return errors.New("must be debug, info, warn or error")
		}
		return nil
	})
	s.Default = strings.ToLower(level.Level().String())
	return s
}

// parse sets the settings, and returns the environment that they come to and the
// arguments. Errors: [flag.ErrHelp], errVersion, Invalid.
func (p Program) parse(settings []setting.Setting, args, environ []string) (Call, error) {
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var showVersion bool
	flags.BoolVar(&showVersion, "version", false, "")
	given := make(map[string]string) // by flag
	for _, s := range settings {
		if s.NoFlag || flags.Lookup(s.Name) != nil { // two parts of a program may have one setting
			continue
		}
		take := func(value string) error {
			if before := given[s.Name]; s.List && before != "" {
				value = before + "," + value
			}
			given[s.Name] = value
			return nil
		}
		if s.Value == "" {
			flags.BoolFunc(s.Name, "", take)
		} else {
			flags.Func(s.Name, "", take)
		}
	}
	words, err := interspersed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return Call{}, err
	case err != nil:
		return Call{}, chat.Errorf(chat.Invalid, "%w", doubleDashes(err))
	case showVersion:
		return Call{}, errVersion
	case p.Arguments == "" && len(words) > 0:
		return Call{}, chat.Errorf(chat.Invalid, "unexpected argument %q", words[0])
	}
	env, err := set(settings, given, variables(environ))
	return Call{Env: env, Args: words}, err
}

// set sets what flags or else the environment give, and returns both as an
// environment. What is wrong is said before what is missing. Errors: Invalid.
func set(settings []setting.Setting, flags, environ map[string]string) (Env, error) {
	env := make(Env)
	for _, s := range settings {
		value, by := environ[s.Env()], s.Env()
		flagged, ok := flags[s.Name]
		if ok = ok && !s.NoFlag; ok {
			value, by = flagged, "--"+s.Name
		}
		if value == "" && !ok { // an empty variable is as good as none
			continue
		}
		if err := s.Set(by, value); err != nil {
			return nil, err
		}
		env[s.Env()] = value
	}
	for _, s := range settings {
		if err := s.Missing(env[s.Env()]); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// doubleDashes is an error of package flag with flags in the form that we write them
// in: it says -name where all documents say --name.
func doubleDashes(err error) error {
	return errors.New(strings.NewReplacer("not defined: -", "not defined: --", "flag -", "flag --", "an argument: -", "an argument: --").Replace(err.Error()))
}

// interspersed parses flags that may come before and after the arguments, which it
// returns.
func interspersed(flags *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return words, nil
		}
		words = append(words, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

func variables(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	return vars
}

// help lists the settings with their variables, defaults and bounds.
func (p Program) help(w io.Writer, settings []setting.Setting) {
	usage := p.Name + " [flags]"
	if p.Arguments != "" {
		usage += " " + p.Arguments
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s\n\n%s\n\nFlags override environment variables, which override the defaults.\n", usage, p.Summary)
	for i, s := range settings {
		if slices.ContainsFunc(settings[:i], func(o setting.Setting) bool { return o.Env() == s.Env() }) {
			continue
		}
		b.WriteString("\n  ")
		if !s.NoFlag {
			b.WriteString("--" + s.Name)
			if s.Value != "" {
				b.WriteString(" " + s.Value)
			}
			b.WriteString("  ")
		}
		b.WriteString(s.Env())
		switch {
		case s.Required:
			b.WriteString("  (required)")
		case s.Default != "":
			fmt.Fprintf(&b, "  (default %s)", s.Default)
		}
		if s.Bounds != "" {
			fmt.Fprintf(&b, "  [%s]", s.Bounds)
		}
		b.WriteString("\n      " + s.Usage + "\n")
	}
	b.WriteString("\n  --version\n      Print the version and exit\n")
	_, _ = io.WriteString(w, b.String())
}
