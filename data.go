package chat

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// MaxText is the longest message text, in Unicode code points.
const MaxText = 4000

// data is what an event carries. It is a pointer to one of the structs below.
type data interface {
	// check checks what the struct's types leave open. Errors: Invalid.
	check() error
}

// cutting is data that can say more than its event's place allows.
type cutting interface {
	// cut cuts it to an event at a sequence and reports whether anything changed.
	cut(at Sequence) bool
}

// about is the data of events about a message.
type about interface {
	// message is the sequence of the message.
	message() Sequence
}

// of makes the data struct T.
func of[T any, P interface {
	*T
	data
}]() data {
	return P(new(T))
}

// Posted is the data of [MessagePosted].
type Posted struct {
	Text        string          `json:"text"`
	ReplyTo     Sequence        `json:"replyTo,omitzero"`
	Mentions    []UserID        `json:"mentions,omitempty"` // Everyone among them
	Attachments json.RawMessage `json:"attachments,omitempty"`
}

// Everyone stands among mentions for every member of the room.
const Everyone UserID = "*"

// MaxMentions is how many mentions a message can have.
const MaxMentions = 100

func (d *Posted) check() error {
	if len(d.Attachments) > 0 && d.Attachments[0] != '[' {
		return Errorf(Invalid, "attachments must be an array")
	}
	if d.Text != "" || !d.Attached() {
		if err := checkText(d.Text); err != nil {
			return err
		}
	}
	if d.ReplyTo < 0 {
		return Errorf(Invalid, "replyTo must be a sequence")
	}
	return checkMentions(d.Mentions)
}

// Attached reports whether the message has an attachment.
func (d *Posted) Attached() bool {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(d.Attachments), []byte("["))
	return ok && !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("]"))
}

// checkMentions checks mentions. Errors: Invalid.
func checkMentions(mentions []UserID) error {
	if len(mentions) > MaxMentions {
		return Errorf(Invalid, "a message can have at most %d mentions", MaxMentions)
	}
	for _, u := range mentions {
		if !u.Valid() && u != Everyone {
			return Errorf(Invalid, "mentions must be users' ids or %q", Everyone)
		}
	}
	return nil
}

// About is the data of [MessageDeleted], [MessagePinned] and [MessageUnpinned], and
// part of that of all other events about a message.
type About struct {
	Message Sequence `json:"message"`
}

func (d *About) message() Sequence { return d.Message }

func (d *About) check() error {
	if d.Message <= 0 {
		return Errorf(Invalid, "message must be a sequence")
	}
	return nil
}

// Edited is the data of [MessageEdited]: text and mentions replace those of the
// message. The text can be empty if the message has an attachment, which is not known
// here.
type Edited struct {
	About
	Text     string   `json:"text"`
	Mentions []UserID `json:"mentions,omitempty"`
}

func (d *Edited) check() error {
	if err := d.About.check(); err != nil {
		return err
	}
	if d.Text != "" {
		if err := checkText(d.Text); err != nil {
			return err
		}
	}
	return checkMentions(d.Mentions)
}

// Reaction is the data of [ReactionAdded] and [ReactionRemoved].
type Reaction struct {
	About
	Emoji string `json:"emoji"` // one, fully qualified
}

// maxEmoji is how long an emoji can be, in bytes: the longest of Unicode's have 35, and
// some ids of flags' subdivisions more.
const maxEmoji = 64

func (d *Reaction) check() error {
	if err := d.About.check(); err != nil {
		return err
	}
	if d.Emoji == "" || len(d.Emoji) > maxEmoji {
		return Errorf(Invalid, "emoji must be one emoji")
	}
	return nil
}

// ReadData is the data of [ReadAdvanced].
type ReadData struct {
	UpTo Sequence `json:"upTo"`
}

func (d *ReadData) check() error {
	if d.UpTo <= 0 {
		return Errorf(Invalid, "upTo must be a sequence")
	}
	return nil
}

// cut implements [cutting]: what comes after the event cannot have been read.
func (d *ReadData) cut(at Sequence) bool {
	if d.UpTo <= at {
		return false
	}
	d.UpTo = at
	return true
}

// MemberData is the data of the member events. Changed says which of these a
// [MemberUpdated] is about; nickname and role are repeated and may be out of date.
// Events of earlier versions do not say so, and are about both.
type MemberData struct {
	User     UserID `json:"user"`
	Nickname string `json:"nickname"`
	Role     Role   `json:"role"`

	MutedUntil *Time  `json:"mutedUntil,omitempty"` // nil: not muted
	Changed    string `json:"changed,omitempty"`

	// Of a MemberPreferred: what the user changes.
	Notify   Notify `json:"notify,omitempty"`
	Favorite *bool  `json:"favorite,omitempty"`
}

func (d *MemberData) check() error {
	if !d.User.Valid() {
		return Errorf(Invalid, "user must be a user's id")
	}
	return nil
}

// Values of [MemberData.Changed].
const (
	ChangedNickname = "nickname"
	ChangedRole     = "role"
	ChangedMute     = "mutedUntil"
)

// RoomData is the data of [RoomCreated] and [RoomUpdated]. An update has no kind, and
// of the settings those that it changes; each changes on its own. The name is always
// there. An update that does not change it says in Changed what it does change: the
// name is repeated then, and may be out of date.
type RoomData struct {
	Name     string   `json:"name"`
	Kind     RoomKind `json:"kind,omitempty"`
	Topic    *string  `json:"topic,omitempty"`
	Joining  Joining  `json:"joining,omitempty"`
	Posting  Posting  `json:"posting,omitempty"`
	SlowMode *int     `json:"slowMode,omitempty"` // in seconds
	Changed  []string `json:"changed,omitempty"`
}

// Names reports whether the event is about the room's name.
func (d *RoomData) Names() bool { return len(d.Changed) == 0 || slices.Contains(d.Changed, "name") }

// Bounds of a room's settings.
const (
	MaxTopic    = 1000   // code points
	MaxSlowMode = 86_400 // seconds
)

func (d *RoomData) check() error {
	switch {
	case d.Topic != nil && utf8.RuneCountInString(*d.Topic) > MaxTopic:
		return Errorf(Invalid, "topic must have at most %d characters", MaxTopic)
	case d.Joining != "" && d.Joining != JoinByCode && d.Joining != JoinByInvitation:
		return Errorf(Invalid, "joining must be %s or %s", JoinByCode, JoinByInvitation)
	case d.Posting != "" && d.Posting != PostEveryone && d.Posting != PostModerators:
		return Errorf(Invalid, "posting must be %s or %s", PostEveryone, PostModerators)
	case d.SlowMode != nil && (*d.SlowMode < 0 || *d.SlowMode > MaxSlowMode):
		return Errorf(Invalid, "slowMode must be 0 to %d seconds", MaxSlowMode)
	}
	return nil
}

// RouteData is the data of [RouteOpened] and [RouteClosed].
type RouteData struct {
	Connector int `json:"connector"`
}

func (*RouteData) check() error { return nil }

// RevokedData is the data of [SessionRevoked].
type RevokedData struct {
	Session string `json:"session"`
}

func (*RevokedData) check() error { return nil }

func checkText[T string | []byte](text T) error {
	if 0 < len(text) && len(text) <= MaxText { // so it has no more characters either
		return nil
	}
	if n := utf8.RuneCountInString(string(text)); n == 0 || n > MaxText {
		return Errorf(Invalid, "text must have 1 to %d characters, it has %d", MaxText, n)
	}
	return nil
}
