package projection

import (
	"slices"

	"knatter.dev/chat"
)

// Reading sums up how far the active members of a room have read.
type Reading struct {
	read map[chat.UserID]chat.Sequence // up to where there is nothing to read for a member
	all  []chat.Sequence               // those, ascending
}

// ReadingOf sums up a room's memberships, of which those that are not active don't count.
func ReadingOf(room []chat.Membership) *Reading {
	r := &Reading{read: make(map[chat.UserID]chat.Sequence, len(room))}
	for _, m := range room {
		if m.Active {
			upTo := max(m.Since, m.Read) // nobody has to read what was said before they joined
			r.read[m.User] = upTo
			r.all = append(r.all, upTo)
		}
	}
	slices.Sort(r.all)
	return r
}

// Members is how many active members there are.
func (r *Reading) Members() int { return len(r.all) }

// UnreadBy is how many active members have yet to read a message: all but its sender whose
// stay began before it, and who have not read up to it.
func (r *Reading) UnreadBy(message chat.Sequence, sender chat.UserID) int {
	n, _ := slices.BinarySearch(r.all, message)
	if upTo, active := r.read[sender]; active && upTo < message {
		n--
	}
	return n
}
