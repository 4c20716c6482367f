package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"
	"time"
)

// RoomID names a room, and is the code that people share: 1 to 64 characters of
// a–z, A–Z, 0–9, '-' and '_'.
type RoomID string

// LogValue implements slog.LogValuer: who has a room's id can join it, so logs get
// a short hash, which tells rooms from each other.
func (r RoomID) LogValue() slog.Value {
	sum := sha256.Sum256([]byte(r))
	return slog.StringValue("#" + hex.EncodeToString(sum[:4]))
}

// Valid reports whether r has the form of a room's id.
func (r RoomID) Valid() bool { return validName(string(r)) }

// Stream is the room's stream.
func (r RoomID) Stream() StreamID { return StreamID(r) }

// UserID names a user: 1 to 64 characters of a–z, A–Z, 0–9, '-' and '_'.
type UserID string

// Valid reports whether u has the form of a user's id.
func (u UserID) Valid() bool { return validName(string(u)) }

// StreamID names a stream, which is one key of the log, so one order: a room by its
// id, or a user's own stream by '@' and the user's, see [StreamOf].
type StreamID string

// StreamOf is the stream on which a user's own matters travel: added to a room,
// removed, read elsewhere, a session revoked. Only that user may follow it.
func StreamOf(user UserID) StreamID { return ownPrefix + StreamID(user) }

const ownPrefix = "@"

// Own reports whether s is a user's own stream rather than a room.
func (s StreamID) Own() bool { return strings.HasPrefix(string(s), ownPrefix) }

// Room is the room whose stream s is, "" if it is a user's own.
func (s StreamID) Room() RoomID {
	if s.Own() {
		return ""
	}
	return RoomID(s)
}

// Valid reports whether s has the form of a room's id or of a user's own stream.
func (s StreamID) Valid() bool { return validName(strings.TrimPrefix(string(s), ownPrefix)) }

// LogValue implements slog.LogValuer, as [RoomID.LogValue].
func (s StreamID) LogValue() slog.Value { return RoomID(s).LogValue() }

func validName(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// RoomKind tells rooms that people join by code from the direct room of two.
type RoomKind string

// The kinds of room.
const (
	Group  RoomKind = "group"
	Direct RoomKind = "direct"
)

// Room is a room as last created or updated.
type Room struct {
	ID       RoomID
	Name     string
	Kind     RoomKind
	Topic    string
	Joining  Joining       // "" means JoinByCode
	Posting  Posting       // "" means PostEveryone
	SlowMode time.Duration // from one message of a plain member to the next
	Created  time.Time
	Sequence Sequence // of the event that last changed it
}

// Joining says how people come into a room.
type Joining string

// The ways of joining.
const (
	JoinByCode       Joining = "code"       // the room's id
	JoinByInvitation Joining = "invitation" // of an owner or moderator
)

// Posting says who may write in a room.
type Posting string

// The ways of posting.
const (
	PostEveryone   Posting = "everyone"
	PostModerators Posting = "moderators" // and owners
)

// Role is what a member may do in a room.
type Role string

// The roles.
const (
	Owner     Role = "owner"     // may rename the room, remove members, change roles
	Moderator Role = "moderator" // may remove plain members, delete messages
	Plain     Role = "member"
)

// Membership is one user's relation to one room, kept after leaving so that the
// nickname of old messages' senders stays known.
type Membership struct {
	Room     RoomID
	User     UserID
	Nickname string
	Role     Role
	Active   bool     // a member now
	Removed  bool     // not a member now, because of a removal
	Since    Sequence // beginning of the present stay; 0 if not active
	Sequence Sequence // of the last member event that the room saw
	Read     Sequence // read mark of the present stay; 0 when nothing was read

	MutedUntil time.Time // see Muted

	// The user's own settings of the room.
	Notify   Notify // "" means NotifyAll
	Favorite bool

	// Who invited, and when, if that waits for the user's consent.
	InvitedBy UserID
	InvitedAt time.Time
}

// Notify says what of a room its member wants to be told of.
type Notify string

// The ways of notifying.
const (
	NotifyAll      Notify = "all"
	NotifyMentions Notify = "mentions"
	NotifyNone     Notify = "none"
)

// Muted reports whether the member may not write at a time. Only plain members can be
// muted, so another role ends it for as long as they have that.
func (m *Membership) Muted(at time.Time) bool {
	return m.Role == Plain && at.Before(m.MutedUntil)
}
