package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/program"
	"knatter.dev/chat/internal/setting"
)

// letters holds the settings that select dead letters.
type letters struct{ function string }

func (l *letters) settings() []setting.Setting {
	// The store knows the log's generations.
	store := open.StoreSetting()
	store.Usage += "; needed for dead letters of KafkaSource, when the log is not in generation 0"
	return append(open.LogSettings(), store,
		setting.Text(&l.function, "function", "name", "Only the dead letters of this function, such as index; by default those of all"))
}

// meant reports whether a letter is among them.
func (l *letters) meant(letter kafka.Letter) bool {
	return l.function == "" || l.function == functionOf(letter)
}

// placed returns the configuration of the log with its generations, if the store is
// given.
func placed(ctx context.Context, env program.Env) (kc kafka.Config, err error) {
	if kc, err = open.LogConfig(env); err != nil || env[open.StoreSetting().Env()] == "" {
		return kc, err
	}
	stores, err := open.StoreOf(ctx, env)
	if err != nil {
		return kc, err
	}
	defer func() { err = errors.Join(err, stores.Close()) }()
	kc.Lineage, err = stores.Progress.Lineage(ctx)
	return kc, err
}

// listing is the command that lists dead letters.
type listing struct {
	letters
	all bool
}

func (l *listing) program() program.Program {
	return program.Program{
		Name: "admin dead-letters list",
		Summary: `Lists the events that functions have refused for good.
One line for each, without what people wrote: its place in chat.dead, when it came there, the function, the status that
it answered, the event's type, room, sequence and ID, and why.`,
		Settings: append(l.settings(), setting.Switch(&l.all, "all", "Also show those that were replayed")),
		Run: func(ctx context.Context, c program.Call) error {
			kc, err := placed(ctx, c.Env)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "PLACE\tTIME\tFUNCTION\tSTATUS\tTYPE\tROOM\tSEQUENCE\tID\tWHY")
			lines := 0
			err = kafka.DeadLetters(ctx, kc, func(letter kafka.Letter) error {
				if letter.Replayed && !l.all || !l.meant(letter) {
					return nil
				}
				list(w, letter)
				if lines++; lines%1000 == 0 { // the writer keeps everything in memory until it is flushed
					return w.Flush()
				}
				return nil
			})
			return errors.Join(err, w.Flush())
		},
	}
}

func list(w io.Writer, l kafka.Letter) {
	why := l.Data
	if l.Replayed {
		why = "(replayed) " + why
	}
	e := &l.Event
	typ, room, sequence, id := e.Type.Short(), string(e.Room), e.Sequence.String(), e.ID
	if l.Invalid != nil {
		typ, room, sequence, id = "-", "-", "-", "-"
		why = "(no event: " + l.Invalid.Error() + ") " + why
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", placeOf(l), l.Time.UTC().Format(time.DateTime), functionOf(l),
		l.Code, printable(typ), printable(room), sequence, printable(id), printable(why))
}

// printable returns s without characters that would move a terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// placeOf returns the name of a letter, as replay accepts it.
func placeOf(l kafka.Letter) string { return fmt.Sprintf("%d/%d", l.Partition, l.Offset) }

// functionOf returns the name of the letter's function, or its address.
func functionOf(l kafka.Letter) string {
	if l.Function != "" {
		return printable(l.Function)
	}
	return printable(strings.TrimPrefix(l.Dest, "function:"))
}

// replaying is the command that replays dead letters.
type replaying struct {
	letters
	urls         map[string]string // of functions, by name
	kc           kafka.Config
	callers      *auth.Callers
	targets      map[string]chat.Handler // by URL
	done, failed int
}

func newReplaying() *replaying {
	return &replaying{urls: make(map[string]string), targets: make(map[string]chat.Handler)}
}

func (r *replaying) program() program.Program {
	return program.Program{
		Name:      "admin dead-letters replay",
		Arguments: "[PLACE ...]",
		Summary: `Sends dead letters to their functions again: all that were not replayed yet, or those named.
An event goes to the URL set for its function, or else to where it was refused. When the function is done with it, that
is noted in chat.dead, and it is not replayed again unless it is named. What is refused again stays as it was. Handling
an event twice changes nothing, so nothing doubles, whatever happens in between.`,
		Settings: slices.Concat(r.settings(), open.EventFunctionURLs(r.urls), open.CallerSettings()),
		Run: func(ctx context.Context, c program.Call) (err error) {
			if r.kc, err = placed(ctx, c.Env); err != nil {
				return err
			}
			if r.callers, err = open.Callers(c.Env); err != nil {
				return err
			}
			wanted := make(map[string]bool)
			for _, place := range c.Args {
				wanted[place] = true
			}
			err = kafka.DeadLetters(ctx, r.kc, func(l kafka.Letter) error {
				place := placeOf(l)
				if len(c.Args) > 0 && !wanted[place] || len(c.Args) == 0 && l.Replayed || !r.meant(l) {
					return nil
				}
				delete(wanted, place)
				return r.replay(ctx, c.Out, l)
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(c.Out, "%d replayed, %d not\n", r.done, r.failed)
			if len(wanted) > 0 {
				return chat.Errorf(chat.NotFound, "there is no dead letter at %s", strings.Join(sorted(wanted), ", "))
			}
			if r.failed > 0 {
				return fmt.Errorf("%d dead letters were not replayed", r.failed)
			}
			return nil
		},
	}
}

func sorted(set map[string]bool) []string {
	var list []string
	for s := range set {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

// tryTimeout bounds a function's answer.
const tryTimeout = 30 * time.Second

// replay passes one letter to its function. An error ends the command; what the
// function answers to this one letter is not an error.
func (r *replaying) replay(ctx context.Context, out io.Writer, l kafka.Letter) error {
	url, err := r.target(l)
	if err == nil {
		err = r.give(ctx, url, l.Event)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.failed++
		fmt.Fprintf(out, "%s not replayed: %s\n", placeOf(l), printable(err.Error()))
		return nil
	}
	if err := kafka.SetReplayed(ctx, r.kc, l); err != nil {
		return err
	}
	r.done++
	fmt.Fprintf(out, "%s replayed: %s %s of %s\n", placeOf(l), functionOf(l), printable(l.Event.Type.Short()), printable(string(l.Event.Room)))
	slog.Debug("replayed", slog.String("place", placeOf(l)), slog.String("url", url))
	return nil
}

func (r *replaying) give(ctx context.Context, url string, e chat.Event) error {
	target := r.targets[url]
	if target == nil {
		target = dispatch.HTTP(url, r.callers)
		r.targets[url] = target
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	return target.HandleEvents(ctx, []chat.Event{e})
}

// target returns the address to which a letter's event goes. Errors: Invalid.
func (r *replaying) target(l kafka.Letter) (string, error) {
	if l.Invalid != nil {
		return "", chat.Errorf(chat.Invalid, "no event: %w", l.Invalid)
	}
	name := functionOf(l)
	if url := r.urls[name]; url != "" {
		return url, nil
	}
	if setting.CheckURL(l.Dest) == nil {
		return l.Dest, nil
	}
	return "", chat.Errorf(chat.Invalid, "the URL of the function %s must be set", name)
}
