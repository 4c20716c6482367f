package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/program"
	"knatter.dev/chat/internal/setting"
)

// rewinding is the command that rewinds a group.
type rewinding struct {
	to        string
	partition int32
}

// unset means that no partition is given.
const unset = -1

func newRewinding() *rewinding { return &rewinding{to: "start", partition: unset} }

func (r *rewinding) program() program.Program {
	return program.Program{
		Name:      "admin rewind",
		Arguments: "GROUP",
		Summary: `Lets an event function handle again what the log still holds.
GROUP is a consumer group, such as knatter-index, or its function's name. Nothing may follow the log for it meanwhile. It
only goes back: a partition that has not come as far stays where it is. Handling an event again has no effect, unless what
it was made into is gone.`,
		Settings: append(open.LogSettings(),
			setting.Text(&r.to, "to", "place", "Handle events again from here: start, a time such as 2026-10-01T00:00:00Z, or an offset (with --partition)"),
			setting.Number(&r.partition, "partition", 0, 100_000, "Partition of chat.rooms that the offset is in"),
		),
		Run: func(ctx context.Context, c program.Call) error {
			group, err := groupOf(c.Args)
			if err != nil {
				return err
			}
			mark, err := r.mark()
			if err != nil {
				return err
			}
			kc, err := open.LogConfig(c.Env)
			if err != nil {
				return err
			}
			rewound, err := kafka.Rewind(ctx, kc, group, mark)
			if err != nil {
				return err
			}
			if len(rewound) == 0 {
				_, err := fmt.Fprintf(c.Out, "%s has handled nothing yet, so it will begin at the start\n", group)
				return err
			}
			return table(c.Out, func(w io.Writer) {
				fmt.Fprintln(w, "PARTITION\tWAS AT\tIS AT")
				for _, r := range rewound {
					fmt.Fprintf(w, "%d\t%d\t%d\n", r.Partition, r.From, r.To)
				}
			})
		},
	}
}

// groupOf returns the group that is named. Errors: Invalid.
func groupOf(args []string) (string, error) {
	var names []string
	for _, f := range chat.EventFunctions {
		if len(args) == 1 && (args[0] == f.Group || args[0] == f.Name) {
			return f.Group, nil
		}
		names = append(names, f.Group)
	}
	return "", chat.Errorf(chat.Invalid, "one group must be named: %s", strings.Join(names, ", "))
}

// mark returns the position to rewind to. Errors: Invalid.
func (r *rewinding) mark() (kafka.Mark, error) {
	offset, err := strconv.ParseInt(r.to, 10, 64)
	switch {
	case err == nil && r.partition == unset:
		return kafka.Mark{}, chat.Errorf(chat.Invalid, "--partition must be set with an offset")
	case err == nil && offset <= 0:
		return kafka.Mark{}, chat.Errorf(chat.Invalid, "--to must be above 0 where it is an offset")
	case err == nil:
		return kafka.Mark{Partition: r.partition, Offset: offset}, nil
	case r.partition != unset:
		return kafka.Mark{}, chat.Errorf(chat.Invalid, "--partition goes with an offset only")
	case r.to == "start":
		return kafka.Mark{}, nil
	}
	at, err := time.Parse(time.RFC3339, r.to)
	if err != nil {
		return kafka.Mark{}, chat.Errorf(chat.Invalid, "--to must be start, a time as in 2026-10-01T00:00:00Z, or an offset")
	}
	return kafka.Mark{Time: at}, nil
}
