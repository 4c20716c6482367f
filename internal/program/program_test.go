package program_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/program"
	"knatter.dev/chat/internal/setting"
)

// called runs a program with arguments and an environment.
func called(t *testing.T, p program.Program, args string, environ ...string) (code int, out, complaint string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	code = p.Execute(t.Context(), strings.Fields(args), environ, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// printing prints the settings that it is called with.
func printing(arguments string) program.Program {
	color, count, pause, loud, where, key := "blue", 3, time.Duration(0), false, "", ""
	var words []string
	return program.Program{
		Name: "printing", Summary: "Prints.", Arguments: arguments,
		Settings: []setting.Setting{
			setting.Text(&color, "color", "name", "of the thing"),
			setting.Number(&count, "how-many", 1, 9, "of them"),
			setting.Time(&pause, "pause", time.Second, time.Minute, "between them"),
			setting.Switch(&loud, "loud", "say it"),
			setting.URL(&where, "where", "of it").Require(),
			setting.Text(&key, "key", "key", "of it").Secret(),
			setting.Words(&words, "words", "word,...", "to say"),
			setting.Switch(&loud, "loud", "say it"), // as when two parts of a program have one
		},
		Run: func(_ context.Context, c program.Call) error {
			_, err := fmt.Fprintf(c.Out, "%s %d %v %v [%s]%s %v", color, count, pause, loud, where, key, append(words, c.Args...))
			return err
		},
	}
}

func TestSettings(t *testing.T) {
	const url = "KNATTER_WHERE=http://here"
	for _, c := range []struct {
		args    string
		environ []string
		want    string // on standard output, or in the complaint if the code is not 0
		code    int
	}{
		{"", []string{url}, "blue 3 0s false [http://here] []", 0},
		{"", []string{url, "KNATTER_COLOR=red", "KNATTER_HOW_MANY=4", "KNATTER_LOUD=true", "KNATTER_PAUSE=2s", "KNATTER_KEY=k"}, "red 4 2s true [http://here]k []", 0},
		{"--color green -how-many=5 --loud --where http://there", []string{url, "KNATTER_COLOR=red", "KNATTER_HOW_MANY=none"}, "green 5 0s true [http://there] []", 0},
		{"--words a --words b,c", []string{url}, "blue 3 0s false [http://here] [a b c]", 0},
		{"--loud=false", []string{url, "KNATTER_LOUD=true"}, "blue 3 0s false [http://here] []", 0},
		{"", []string{url, "KNATTER_COLOR="}, "blue 3 0s false [http://here] []", 0},
		{"", nil, "KNATTER_WHERE or --where must be set", 2},
		{"--where nowhere", nil, "--where must be a URL", 2},
		{"", []string{url, "KNATTER_HOW_MANY=10"}, "KNATTER_HOW_MANY must be a number from 1 to 9", 2},
		{"--how-many 10", []string{url, "KNATTER_HOW_MANY=2"}, "--how-many must be a number from 1 to 9", 2},
		{"--how-many=", []string{url}, "--how-many must be a number", 2},
		{"--pause -3s", nil, "--pause must be a time from 1s to 1m", 2}, // rather than what is missing
		{"", []string{url, "KNATTER_PAUSE=5"}, "KNATTER_PAUSE must be a time", 2},
		{"", []string{url, "KNATTER_LOUD=very"}, "KNATTER_LOUD must be true or false", 2},
		{"", []string{url, "KNATTER_LOG_LEVEL=silent"}, "KNATTER_LOG_LEVEL", 2},
		{"--key k", []string{url}, "not defined", 2},
		{"--nonsense", []string{url}, "not defined", 2},
		{"--color", []string{url}, "needs an argument", 2},
		{"word", []string{url}, `unexpected argument "word"`, 2},
		{"--loud word --color red", []string{url}, `unexpected argument "word"`, 2},
	} {
		code, out, complaint := called(t, printing(""), c.args, c.environ...)
		got := out
		if code != 0 {
			got = complaint
		}
		if code != c.code || code == 0 && got != c.want || !strings.Contains(got, c.want) {
			t.Errorf("%q %v: exit code %d, %q, want %d, %q", c.args, c.environ, code, got, c.code, c.want)
		}
	}
	code, out, _ := called(t, printing("[WORD ...]"), "one --color red two --loud three", url)
	if want := "red 3 0s true [http://here] [one two three]"; code != 0 || out != want {
		t.Errorf("arguments among flags: %d, %q, want %q", code, out, want)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"--help", "-h", "--color red --help"} {
		code, out, complaint := called(t, printing(""), args, "KNATTER_KEY=secret", "KNATTER_COLOR=mine")
		if code != 0 || complaint != "" {
			t.Errorf("%s: exit code %d, %s", args, code, complaint)
		}
		for _, want := range []string{
			"Usage: printing [flags]\n", "Prints.\n",
			"\n  --color name  KNATTER_COLOR  (default blue)\n      of the thing\n",
			"\n  --how-many number  KNATTER_HOW_MANY  (default 3)  [1 to 9]\n", "\n  --pause time  KNATTER_PAUSE  [1s to 1m]\n",
			"\n  --loud  KNATTER_LOUD\n", "\n  --where URL  KNATTER_WHERE  (required)\n", "\n  KNATTER_KEY\n",
			"\n  --log-level level  KNATTER_LOG_LEVEL  (default info)\n",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", args, want, out)
			}
		}
		if strings.Count(out, "--loud") != 1 {
			t.Errorf("%s: a setting of two parts is not listed once:\n%s", args, out)
		}
		if strings.Contains(out, "secret") || strings.Contains(out, "mine") {
			t.Errorf("%s: shows the environment:\n%s", args, out)
		}
	}
	if code, out, _ := called(t, printing(""), "--version"); code != 0 || !strings.HasPrefix(out, "printing ") || !strings.Contains(out, "go1.") {
		t.Errorf("--version: %d, %q", code, out)
	}
}

func TestExitCodes(t *testing.T) {
	end := func(err error) program.Program {
		return program.Program{Name: "end", Run: func(context.Context, program.Call) error {
			slog.Debug("quiet")
			slog.Info("loud")
			return err
		}}
	}
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{errors.New("oops"), 1},
		{chat.Errorf(chat.Unavailable, "oops"), 1},
		{fmt.Errorf("KNATTER_STORE: %w", chat.Errorf(chat.Invalid, "oops")), 2},
		{context.Canceled, 1}, // although nobody ended it
	} {
		code, _, logged := called(t, end(c.err), "")
		if code != c.code || (c.err == nil) == strings.Contains(logged, "oops") && !errors.Is(c.err, context.Canceled) {
			t.Errorf("%v: exit code %d, %s", c.err, code, logged)
		}
		line, _, _ := strings.Cut(logged, "\n")
		var record struct{ Msg, Level, Program string }
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Msg != "loud" || record.Level != "INFO" || record.Program != "end" {
			t.Errorf("logged %s", logged)
		}
	}
	if _, _, logged := called(t, end(nil), "--log-level debug"); !strings.Contains(logged, `"quiet"`) {
		t.Errorf("level debug logs %s", logged)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	stopped := program.Program{Name: "stopped", Run: func(ctx context.Context, _ program.Call) error { return fmt.Errorf("waiting: %w", ctx.Err()) }}
	if code := stopped.Execute(ctx, nil, nil, io.Discard, io.Discard); code != 0 {
		t.Errorf("stopped while it was starting: exit code %d", code)
	}
}
