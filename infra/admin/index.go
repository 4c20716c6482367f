package main

import (
	"context"
	"fmt"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/program"
)

var (
	refill   = program.Setting{Name: "refill", Usage: "Send all messages in the store to the function index; the index must be empty"}
	indexURL = program.FunctionURL(chat.Index.Name, false)
)

var wipeIndex = program.Program{
	Name: "admin wipe-index",
	Summary: `Empties the search index, so that it can be built again.
Stop what follows the log for the function index, wipe, "admin rewind knatter-index", and start it again. That brings
back what the log still holds. What has expired there ("admin topics" shows whether something has) comes back with
--refill, which sends the function the messages in the store. All of this may be repeated.`,
	Settings: append([]program.Setting{program.Store, refill, indexURL}, program.Callers...),
	Run: func(ctx context.Context, c program.Call) (err error) {
		if program.Switch(c.Env, refill) && c.Env[indexURL.Env()] == "" {
			return chat.Errorf(chat.Invalid, "%s must be set with --refill", indexURL.Env())
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
		if !program.Switch(c.Env, refill) {
			return nil
		}
		n, err := fill(ctx, stores.Events, dispatch.HTTP(c.Env[indexURL.Env()], callers))
		fmt.Fprintf(c.Out, "%d stored messages given to the function index\n", n)
		return err
	},
}

// fill gives all stored messages to the function, and says how many it took.
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
