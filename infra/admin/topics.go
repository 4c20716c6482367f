package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/program"
)

var topics = program.Program{
	Name: "admin topics",
	Summary: `Creates the topics that are missing, and prints all of them.
Topics that exist are left as they are, except for what their promises need. What would move rooms is refused.`,
	Settings: slices.Concat(program.Log, program.Topics),
	Run: func(ctx context.Context, c program.Call) error {
		kc, err := open.LogConfig(c.Env)
		if err != nil {
			return err
		}
		if err := kafka.EnsureTopics(ctx, kc); err != nil {
			return err
		}
		topics, groups, err := kafka.State(ctx, kc)
		if err != nil {
			return err
		}
		return table(c.Out, func(w io.Writer) {
			fmt.Fprintln(w, "TOPIC\tPARTITIONS\tREPLICAS\tRECORDS\tEXPIRED")
			for _, t := range topics {
				fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", t.Name, t.Partitions, t.Replicas, t.Records, t.Expired)
			}
			fmt.Fprintln(w, "\nGROUP\tMEMBERS\tLAG")
			for _, g := range groups {
				fmt.Fprintf(w, "%s\t%d\t%d\n", g.Name, g.Members, g.Lag)
			}
		})
	},
}

// table prints what f writes, with tabs between the columns.
func table(out io.Writer, f func(io.Writer)) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	f(w)
	return w.Flush()
}
