package main

import (
	"context"
	"fmt"

	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/program"
)

var wipeIndex = program.Program{
	Name: "admin wipe-index",
	Summary: `Empties the search index, which is then to be built again.
Stop what follows the log for the function index, wipe, "admin rewind knatter-index", and start it again. That brings
back what the log still holds, see "admin topics": messages that have expired there are not found any more.`,
	Settings: []program.Setting{program.Store},
	Run: func(ctx context.Context, c program.Call) (err error) {
		stores, err := open.StoreOf(ctx, c.Env)
		if err != nil {
			return err
		}
		defer func() { _ = stores.Close() }()
		if err := stores.Index.Wipe(ctx); err != nil {
			return fmt.Errorf("emptying the index: %w", err)
		}
		_, err = fmt.Fprintln(c.Out, "the index is empty")
		return err
	},
}
