package main

import (
	"context"
	"fmt"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/program"
	"knatter.dev/chat/internal/setting"
)

// wiping is the command that empties the search index.
type wiping struct {
	refill bool
	index  string // URL of the function
}

func (w *wiping) program() program.Program {
	url := open.FunctionURL(&w.index, chat.Index.Name)
	return program.Program{
		Name: "admin wipe-index",
		Summary: `Empties the search index, so that it can be built again.
Stop what follows the log for the function index, wipe, "admin rewind knatter-index", and start it again. That brings
back what the log still holds. What has expired there ("admin topics" shows whether something has) comes back with
--refill, which sends the function the messages in the store. All of this may be repeated.`,
		Settings: append(open.CallerSettings(), open.StoreSetting().Require(), url,
			setting.Switch(&w.refill, "refill", "Send all messages in the store to the function index; the index must be empty")),
		Run: func(ctx context.Context, c program.Call) (err error) {
			if w.refill && w.index == "" {
				return chat.Errorf(chat.Invalid, "%s must be set with --refill", url.Env())
			}
			callers, err := open.Callers(c.Env)
			if err != nil {
				return err
			}
			stores, err := open.StoreOf(ctx, c.Env)
			if err != nil {
				return err
			}
			defer func() { _ = stores.Close() }()
			if err := stores.Index.Wipe(ctx); err != nil {
				return fmt.Errorf("emptying the index: %w", err)
			}
			fmt.Fprintln(c.Out, "the index is empty")
			if !w.refill {
				return nil
			}
			n, err := fill(ctx, stores.Events, dispatch.HTTP(w.index, callers))
			fmt.Fprintf(c.Out, "%d stored messages given to the function index\n", n)
			return err
		},
	}
}

// fill sends all stored messages to the function, and returns their number.
func fill(ctx context.Context, events chat.EventStore, function chat.Handler) (n int, err error) {
	err = events.Scan(ctx, func(messages []chat.Event) error {
		if err := function.HandleEvents(ctx, messages); err != nil {
			return fmt.Errorf("filling the index: %w", err)
		}
		n += len(messages)
		return nil
	})
	return n, err
}
