package main

import (
	"context"
	"fmt"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/damage"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/program"
	"knatter.dev/chat/internal/setting"
)

// checking is the command that looks for damage.
type checking struct{ acceptLoss bool }

func (k *checking) program() program.Program {
	return program.Program{
		Name:      "admin check",
		Arguments: "DIR",
		Summary: `Looks for damage in a data directory, with nothing running on it.
DIR is the --data of "go run ./local": the embedded log, the embedded store and the signing key. All of it is read.
Nothing is changed without --accept-loss. The exit code is 1 if something is damaged.`,
		Settings: []setting.Setting{setting.Switch(&k.acceptLoss, "accept-loss", "Repair what is damaged, even where that loses something")},
		Run: func(ctx context.Context, c program.Call) error {
			if len(c.Args) != 1 {
				return chat.Errorf(chat.Invalid, "one directory must be named")
			}
			problems, done, err := open.CheckData(ctx, c.Args[0])
			if err != nil {
				return err
			}
			defer done()
			for _, p := range problems {
				fmt.Fprintln(c.Out, p)
			}
			if len(problems) == 0 {
				fmt.Fprintln(c.Out, "everything is whole")
				return nil
			}
			if !k.acceptLoss {
				return chat.Errorf(chat.Unavailable, "%d files or directories are damaged", len(problems))
			}
			if err := damage.Mend(problems); err != nil {
				return err
			}
			for _, p := range problems {
				if p.Mend == nil {
					return chat.Errorf(chat.Unavailable, "%s cannot be repaired: restore it from a backup", p.File)
				}
			}
			fmt.Fprintln(c.Out, "mended")
			return nil
		},
	}
}
