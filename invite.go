package chat

import "time"

// Invite is an invitation by a code: whoever has the code can join the room.
type Invite struct {
	Code    string
	Room    RoomID
	By      UserID
	Created time.Time
	Expires time.Time // zero: never
	Uses    int       // how many may join by it; 0: any number
	Used    int       // how many have

	// Since is the least sequence that an event of the room could have that was logged
	// after the invite was made: it lets in who was removed before that.
	Since Sequence

	// Claims are the last uses, so that one that was interrupted is not counted again.
	Claims []Claim
}

// Claim is a use of an invite: by whom, and the sequence of the last event of that
// member before.
type Claim struct {
	User UserID
	At   Sequence
}

// keptClaims is how many claims an invite keeps.
const keptClaims = 16

// Claim counts a use, unless the same one was counted before, and reports whether it
// may be: the invite is neither used up nor expired.
func (i *Invite) Claim(c Claim, now time.Time) bool {
	if i.Expired(now) {
		return false
	}
	for _, known := range i.Claims {
		if known == c {
			return true
		}
	}
	if i.Uses > 0 && i.Used >= i.Uses {
		return false
	}
	i.Used++
	i.Claims = append(i.Claims[max(0, len(i.Claims)+1-keptClaims):len(i.Claims):len(i.Claims)], c)
	return true
}

// Expired reports whether the invite's time is over.
func (i *Invite) Expired(now time.Time) bool { return !i.Expires.IsZero() && !now.Before(i.Expires) }
