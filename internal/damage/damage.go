// Package damage describes data directories in which something is not as it was
// written, and how to repair them.
package damage

import (
	"errors"
	"fmt"

	"knatter.dev/chat"
)

// Problem describes a file that is not as it was written.
type Problem struct {
	File string
	What string       // what is wrong with it
	Loss string       // what a repair loses for good; "" for nothing
	Mend func() error // repairs it; nil if that is impossible
}

func (p Problem) String() string {
	s := p.File + ": " + p.What
	if p.Loss != "" {
		s += "; lost: " + p.Loss
	}
	return s
}

// Mend repairs all problems that can be repaired, also those whose repair loses
// something.
func Mend(problems []Problem) error {
	var errs error
	for _, p := range problems {
		if p.Mend == nil {
			continue
		}
		if err := p.Mend(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("repairing %s: %w", p.File, err))
		}
	}
	return errs
}

// Refuse returns an error that prevents a start if the repair of any problem would lose
// something, and nil otherwise. Errors: Unavailable.
func Refuse(problems []Problem) error {
	var errs error
	mendable := true
	for _, p := range problems {
		if p.Loss != "" || p.Mend == nil {
			errs = errors.Join(errs, errors.New(p.String()))
			mendable = mendable && p.Mend != nil
		}
	}
	switch {
	case errs == nil:
		return nil
	case mendable:
		return chat.Errorf(chat.Unavailable, "%w\nTo lose nothing, put the directory of data back from a backup. "+
			`To go on without what is lost: "admin check --accept-loss" and the directory`, errs)
	}
	return chat.Errorf(chat.Unavailable, "%w\nPut the directory of data back from a backup", errs)
}
