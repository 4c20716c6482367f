// Package setting is how Knatter's programs are set: by flags, by the environment, or
// by default. A setting's name, default, bounds and help stand where it is bound to the
// field of a configuration, and nowhere else: flags, variables, help, checks and the
// tables of the documents follow from that.
package setting

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"knatter.dev/chat"
)

// Env are settings by the names of their environment variables.
type Env = map[string]string

// Setting is one thing that can be set. It is bound to a variable, whose value when it
// is bound is the default.
type Setting struct {
	Name     string // of the flag, as in "sasl-user"
	Variable string // of the environment; by default KNATTER_ and the name in capitals
	Value    string // what a value is, as in "address"; "" for a switch, which is true or false
	Usage    string
	Default  string // as help shows it; "" for none
	Bounds   string // as help shows them; "" for none
	NoFlag   bool   // as for secrets: command lines are for all on the machine to see
	Required bool
	List     bool // a flag that is given again adds to what there is

	set func(value string) error
}

// Require is s as one that must be set.
func (s Setting) Require() Setting {
	s.Required, s.Default = true, ""
	return s
}

// Secret is s without a flag.
func (s Setting) Secret() Setting {
	s.NoFlag = true
	return s
}

// Env is the name of the setting's environment variable.
func (s Setting) Env() string {
	if s.Variable != "" {
		return s.Variable
	}
	return "KNATTER_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// String is how the setting is set, for people.
func (s Setting) String() string {
	if s.NoFlag {
		return s.Env()
	}
	return s.Env() + " or --" + s.Name
}

// Set sets what the setting is bound to. by says what the value comes from, for
// errors, which don't quote it: it may be a secret. Errors: Invalid.
func (s Setting) Set(by, value string) error {
	if err := s.set(value); err != nil {
		return chat.Errorf(chat.Invalid, "%s %w", by, err)
	}
	return nil
}

// Read sets what env has of the settings; what it has not, and what is empty there,
// stays the default. Errors: Invalid.
func Read(env Env, settings ...Setting) error {
	for _, s := range settings {
		if value := env[s.Env()]; value != "" {
			if err := s.Set(s.Env(), value); err != nil {
				return err
			}
		}
	}
	for _, s := range settings {
		if err := s.Missing(env[s.Env()]); err != nil {
			return err
		}
	}
	return nil
}

// Missing is the error for a required setting without a value. Errors: Invalid.
func (s Setting) Missing(value string) error {
	if s.Required && value == "" {
		return chat.Errorf(chat.Invalid, "%s must be set: %s", s, s.Usage)
	}
	return nil
}

// Text is a setting that is any text.
func Text(p *string, name, value, usage string) Setting {
	return Setting{Name: name, Value: value, Usage: usage, Default: *p, set: func(s string) error {
		*p = s
		return nil
	}}
}

// Func is a setting whose values set takes. Its errors say what is wrong, as in "must be
// a color".
func Func(name, value, usage string, set func(string) error) Setting {
	return Setting{Name: name, Value: value, Usage: usage, set: set}
}

// Words is a setting that is a list, separated by commas.
func Words(p *[]string, name, value, usage string) Setting {
	return Setting{Name: name, Value: value, Usage: usage, Default: strings.Join(*p, ","), List: true, set: func(s string) error {
		*p = Split(s)
		return nil
	}}
}

// Split is a list's members, separated by commas.
func Split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// Switch is a setting that is on or off.
func Switch(p *bool, name, usage string) Setting {
	return Setting{Name: name, Usage: usage, set: func(s string) error {
		on, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("must be true or false")
		}
		*p = on
		return nil
	}}
}

// URL is a setting that is the URL of an HTTP server.
func URL(p *string, name, usage string) Setting {
	s := Text(p, name, "URL", usage)
	s.set = func(value string) error {
		if err := CheckURL(value); err != nil {
			return err
		}
		*p = value
		return nil
	}
	return s
}

// CheckURL is an error unless value is the URL of an HTTP server.
func CheckURL(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("must be a URL, as in http://localhost:9000")
	}
	return nil
}

// Most is the upper bound of numbers that have none of their own.
const Most = 1 << 30

// Number is a setting that is a whole number within bounds. Outside of them its default
// means that it is not set.
func Number[T int | int16 | int32 | int64](p *T, name string, from, to T, usage string) Setting {
	s := Setting{Name: name, Value: "number", Usage: usage, Bounds: fmt.Sprintf("%d to %d", from, to)}
	if *p >= from && *p <= to {
		s.Default = fmt.Sprint(*p)
	}
	s.set = func(value string) error {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < int64(from) || n > int64(to) {
			return fmt.Errorf("must be a number from %d to %d", from, to)
		}
		*p = T(n)
		return nil
	}
	return s
}

// noLimit is what a size is set to that has none.
const noLimit = -1

// Size is a setting that is a number of bytes, at least some, or -1 for no limit.
func Size(p *int64, name string, from int64, usage string) Setting {
	const to = math.MaxInt64 >> 10 // what no machine has, and can be added up
	s := Number(p, name, from, to, usage)
	s.Value, s.Bounds = "bytes", fmt.Sprintf("%d to %d, or %d", from, int64(to), noLimit)
	within := s.set
	s.set = func(value string) error {
		if value == strconv.Itoa(noLimit) {
			*p = noLimit
			return nil
		}
		if err := within(value); err != nil {
			return fmt.Errorf("%w, or %d for no limit", err, noLimit)
		}
		return nil
	}
	return s
}

// Time is a setting that is a span of time within bounds.
func Time(p *time.Duration, name string, from, to time.Duration, usage string) Setting {
	s := Setting{Name: name, Value: "time", Usage: usage, Bounds: span(from) + " to " + span(to)}
	if *p >= from && *p <= to {
		s.Default = span(*p)
	}
	s.set = func(value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d < from || d > to {
			return fmt.Errorf("must be a time from %s to %s, as in 25s", span(from), span(to))
		}
		*p = d
		return nil
	}
	return s
}

// span is d as people write it: 1h where [time.Duration] says 1h0m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
