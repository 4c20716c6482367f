// Package damage is what is said of a directory of data in which something is not
// as it was written, and what is done about it.
package damage

import (
	"errors"
	"fmt"

	"knatter.dev/chat"
)

// Problem is a file that is not as it was written.
type Problem struct {
	File string
	What string       // is wrong with it
	Loss string       // what is gone for good if it is mended; "" for nothing
	Mend func() error // nil if it cannot be
}

func (p Problem) String() string {
	s := p.File + ": " + p.What
	if p.Loss != "" {
		s += "; lost: " + p.Loss
	}
	return s
}

// Mend mends the problems that can be, those that lose something too.
func Mend(problems []Problem) error {
	var errs error
	for _, p := range problems {
		if p.Mend == nil {
			continue
		}
		if err := p.Mend(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("mending %s: %w", p.File, err))
		}
	}
	return errs
}

// Refuse is the error of a start on data with problems whose mending would lose
// something; nil if there are none such. Errors: Unavailable.
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
