package program

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"knatter.dev/chat"
)

// Setting is one thing that can be set: by a flag, which counts first, by an
// environment variable, or else it is the default.
type Setting struct {
	Name     string // of the flag, as in "sasl-user"
	Variable string // of the environment; by default KNATTER_ and the name in capitals
	NoFlag   bool   // as for secrets: command lines are for all on the machine to see
	Value    string // what a value is, as in "address"; "" for a switch, which is true or false
	Default  string
	Usage    string
	Required bool
	Check    func(value string) error // what is wrong, without quoting the value; it may be nil
}

// Env is the name of the setting's environment variable.
func (s Setting) Env() string {
	if s.Variable != "" {
		return s.Variable
	}
	return "KNATTER_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// names are how the setting is set, for people.
func (s Setting) names() string {
	if s.NoFlag {
		return s.Env()
	}
	return s.Env() + " or --" + s.Name
}

var logLevel = Setting{
	Name: "log-level", Value: "level", Default: "info", Usage: "Minimum level to log: debug, info, warn or error",
	Check: func(value string) error {
		if new(slog.Level).UnmarshalText([]byte(value)) != nil {
			return errors.New("must be debug, info, warn or error")
		}
		return nil
	},
}

var errVersion = errors.New("the version was asked for")

func (p Program) settings() []Setting { return append(slices.Clip(p.Settings), logLevel) }

// parse returns the arguments, and all settings that are set or have a default. Errors: [flag.ErrHelp], errVersion, Invalid.
func (p Program) parse(args, environ []string) (Call, error) {
	env := make(Env)
	given := variables(environ)
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var showVersion bool
	flags.BoolVar(&showVersion, "version", false, "")
	settings := p.settings()
	for _, s := range settings {
		if value := given[s.Env()]; value != "" {
			env[s.Env()] = value
		} else if s.Default != "" {
			env[s.Env()] = s.Default
		}
		if s.NoFlag {
			continue
		}
		set := func(value string) error {
			env[s.Env()] = value
			return nil
		}
		if s.Value == "" {
			flags.BoolFunc(s.Name, "", set)
		} else {
			flags.Func(s.Name, "", set)
		}
	}
	words, err := interspersed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return Call{}, err
	case err != nil:
		return Call{}, chat.Errorf(chat.Invalid, "%w", FlagError(err))
	case showVersion:
		return Call{}, errVersion
	case p.Arguments == "" && len(words) > 0:
		return Call{}, chat.Errorf(chat.Invalid, "unexpected argument %q", words[0])
	}
	for _, s := range settings {
		value := env[s.Env()]
		if value == "" {
			if s.Required {
				return Call{}, chat.Errorf(chat.Invalid, "%s must be set: %s", s.names(), s.Usage)
			}
			continue
		}
		if err := s.check(value); err != nil {
			return Call{}, chat.Errorf(chat.Invalid, "%s %w", s.names(), err)
		}
	}
	return Call{Env: env, Args: words}, nil
}

// FlagError is an error of package flag with flags in the form that we write them
// in: it says -name where all documents say --name.
func FlagError(err error) error {
	return errors.New(strings.NewReplacer("not defined: -", "not defined: --", "flag -", "flag --", "an argument: -", "an argument: --").Replace(err.Error()))
}

func (s Setting) check(value string) error {
	if s.Value == "" {
		if _, err := strconv.ParseBool(value); err != nil {
			return errors.New("must be true or false")
		}
	}
	if s.Check == nil {
		return nil
	}
	return s.Check(value)
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

// help lists the settings with their variables and defaults.
func (p Program) help(w io.Writer) {
	usage := p.Name + " [flags]"
	if p.Arguments != "" {
		usage += " " + p.Arguments
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s\n\n%s\n\nFlags override environment variables, which override the defaults.\n", usage, p.Summary)
	for _, s := range p.settings() {
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
		b.WriteString("\n      " + s.Usage + "\n")
	}
	b.WriteString("\n  --version\n      Print the version and exit\n")
	_, _ = io.WriteString(w, b.String())
}

// Number is a check for whole numbers.
func Number(from, to int64) func(string) error {
	return func(value string) error {
		if n, err := strconv.ParseInt(value, 10, 64); err != nil || n < from || n > to {
			return fmt.Errorf("must be a number from %d to %d", from, to)
		}
		return nil
	}
}

// Duration is a check for times.
func Duration(from, to time.Duration) func(string) error {
	return func(value string) error {
		if d, err := time.ParseDuration(value); err != nil || d < from || d > to {
			return fmt.Errorf("must be a time from %v to %v, as in 25s", from, to)
		}
		return nil
	}
}

// HTTP is a check for URLs of HTTP servers.
func HTTP(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("must be a URL, as in http://localhost:9000")
	}
	return nil
}

// Int is a setting that [Number] has checked; 0 if it is not set.
func Int(env Env, s Setting) int {
	n, _ := strconv.Atoi(env[s.Env()])
	return n
}

// Time is a setting that [Duration] has checked; 0 if it is not set.
func Time(env Env, s Setting) time.Duration {
	d, _ := time.ParseDuration(env[s.Env()])
	return d
}

// Switch is a setting without a value.
func Switch(env Env, s Setting) bool {
	on, _ := strconv.ParseBool(env[s.Env()])
	return on
}

// List is a setting's values, separated by commas.
func List(env Env, s Setting) []string { return Words(env[s.Env()]) }

// Words are a list's members, separated by commas.
func Words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
