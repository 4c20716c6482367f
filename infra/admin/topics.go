package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/program"
)

func topics() program.Program {
	return program.Program{
		Name: "admin topics",
		Summary: `Creates the topics that are missing, and prints all of them.
Topics that exist are left as they are, except for what their promises need. What would move rooms is refused.
With --store, log and stores are reconciled: a log that is behind its stores begins a new generation, and functions
that nothing follows the log for go back to where their stores are.`,
		Settings: append(slices.Concat(open.LogSettings(), open.TopicSettings()), open.StoreSetting()),
		Run: func(ctx context.Context, c program.Call) error {
			kc, err := open.LogConfig(c.Env)
			if err != nil {
				return err
			}
			if err := kafka.EnsureTopics(ctx, kc); err != nil {
				return err
			}
			if err := reconcile(ctx, c.Env, kc); err != nil {
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
}

// reconcile makes log and stores agree, if there are stores.
func reconcile(ctx context.Context, env program.Env, kc kafka.Config) (err error) {
	if env[open.StoreSetting().Env()] == "" {
		return nil
	}
	stores, err := open.StoreOf(ctx, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stores.Close()) }()
	_, err = kafka.Reconcile(ctx, kc, stores.Progress, stores.Events, chat.EventFunctions...)
	return err
}

// table prints what f writes, in columns separated by tabs.
func table(out io.Writer, f func(io.Writer)) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	f(w)
	return w.Flush()
}
