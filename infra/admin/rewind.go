package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/program"
)

var (
	to = program.Setting{
		Name: "to", Value: "place", Default: "start",
		Usage: "Handle events again from here: start, a time such as 2026-10-01T00:00:00Z, or an offset (with --partition)",
	}
	partition = program.Setting{Name: "partition", Value: "number", Check: program.Number(0, 100_000), Usage: "Partition of chat.rooms that the offset is in"}
)

var rewind = program.Program{
	Name:      "admin rewind",
	Arguments: "GROUP",
	Summary: `Lets an event function handle again what the log still holds.
GROUP is a consumer group, such as knatter-index, or its function's name. Nothing may follow the log for it meanwhile. It
only goes back: a partition that has not come as far stays where it is. Handling an event again has no effect, unless what
it was made into is gone.`,
	Settings: slices.Concat(program.Log, []program.Setting{to, partition}),
	Run: func(ctx context.Context, c program.Call) error {
		group, err := groupOf(c.Args)
		if err != nil {
			return err
		}
		mark, err := markOf(c.Env)
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

// groupOf is the one group that is named. Errors: Invalid.
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

// markOf is where to rewind to. Errors: Invalid.
func markOf(env program.Env) (kafka.Mark, error) {
	place, in := env[to.Env()], env[partition.Env()]
	offset, err := strconv.ParseInt(place, 10, 64)
	switch {
	case err == nil && in == "":
		return kafka.Mark{}, chat.Errorf(chat.Invalid, "--partition must be set with an offset")
	case err == nil && offset <= 0:
		return kafka.Mark{}, chat.Errorf(chat.Invalid, "an offset must be above 0")
	case err == nil:
		return kafka.Mark{Partition: int32(program.Int(env, partition)), Offset: offset}, nil
	case in != "":
		return kafka.Mark{}, chat.Errorf(chat.Invalid, "--partition goes with an offset only")
	case place == "start":
		return kafka.Mark{}, nil
	}
	at, err := time.Parse(time.RFC3339, place)
	if err != nil {
		return kafka.Mark{}, chat.Errorf(chat.Invalid, "--to must be start, a time as in 2026-10-01T00:00:00Z, or an offset")
	}
	return kafka.Mark{Time: at}, nil
}
