package chat

import (
	"encoding/json"
	"unicode/utf8"
)

// MaxText is the longest message text, in Unicode code points.
const MaxText = 4000

// Posted is the data of [MessagePosted].
type Posted struct {
	Text        string          `json:"text"`
	ReplyTo     Sequence        `json:"replyTo,omitzero"`
	Mentions    []UserID        `json:"mentions,omitempty"`
	Attachments json.RawMessage `json:"attachments,omitempty"`
}

// ReadData is the data of [ReadAdvanced].
type ReadData struct {
	UpTo Sequence `json:"upTo"`
}

// MemberData is the data of the member events. Changed says which of the two a
// [MemberUpdated] is about; the other one is repeated and may be out of date. Events
// of earlier versions do not say so, and are about both.
type MemberData struct {
	User     UserID `json:"user"`
	Nickname string `json:"nickname"`
	Role     Role   `json:"role"`
	Changed  string `json:"changed,omitempty"`
}

// Values of [MemberData.Changed].
const (
	ChangedNickname = "nickname"
	ChangedRole     = "role"
)

// RoomData is the data of [RoomCreated] and [RoomUpdated]. Kind is empty on an
// update.
type RoomData struct {
	Name string   `json:"name"`
	Kind RoomKind `json:"kind,omitempty"`
}

// RouteData is the data of [RouteOpened] and [RouteClosed].
type RouteData struct {
	Connector int `json:"connector"`
}

// RevokedData is the data of [SessionRevoked].
type RevokedData struct {
	Session string `json:"session"`
}

func checkText[T string | []byte](text T) error {
	if 0 < len(text) && len(text) <= MaxText { // so it has no more characters either
		return nil
	}
	if n := utf8.RuneCountInString(string(text)); n == 0 || n > MaxText {
		return Errorf(Invalid, "text must have 1 to %d characters, it has %d", MaxText, n)
	}
	return nil
}
