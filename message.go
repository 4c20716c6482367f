package chat

import (
	"bytes"
	"encoding/binary"
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

// CheckSent checks a room event that a client sends and puts its data into the
// canonical form: members that the protocol does not know are dropped, so that
// no two readers of the same JSON can see different things in it. Source, time,
// stream and sequence are the connector's to set and not looked at.
//
// Errors: Invalid for an id, room, type or data against the protocol, Forbidden
// for a type that clients may not send.
func CheckSent(e *Event) error {
	if err := checkID(e.ID); err != nil {
		return err
	}
	if _, stream := e.Room.Stream(); stream || !e.Room.Valid() {
		return Errorf(Invalid, "subject must be a room's id")
	}
	if err := checkExtensions(e); err != nil {
		return err
	}
	var data any
	var err error
	switch e.Type {
	case MessagePosted:
		if text, ok := onlyText(e.Data); ok {
			return checkText(text)
		}
		data, err = postedOf(e)
	case ReadAdvanced:
		data, err = readOf(e)
	case MemberJoined, MemberLeft, MemberRemoved, MemberUpdated, RoomCreated, RoomUpdated:
		return Errorf(Forbidden, "%s is sent by the rooms function; use the HTTP interface", e.Type.Short())
	case RouteOpened, RouteClosed, SessionRevoked, MemberInvited, MemberDeclined:
		return Errorf(Forbidden, "clients may not send %s", e.Type.Short())
	default:
		return Errorf(Invalid, "unknown event type")
	}
	if err != nil {
		return err
	}
	canonical, err := marshal(data)
	if err != nil {
		return Errorf(Invalid, "data: %w", err)
	}
	e.Data = canonical
	return nil
}

// CheckLogged checks that a logged event has the data that its type is to have, so
// that nothing that follows the log can stumble over what another program wrote
// there. Events of types that are not known here may have any. A read mark beyond
// its own event is cut to it: what comes after cannot have been read. The data must
// be JSON already, as all decoders see to.
//
// Errors: Invalid.
func CheckLogged(e *Event) (err error) {
	switch e.Type {
	case MessagePosted:
		if text, ok := quotedText(e.Data); ok { // decoders have looked at the characters
			return checkText(text)
		}
		_, err = postedOf(e)
	case ReadAdvanced:
		var d ReadData
		if d, err = readOf(e); err == nil && e.Sequence > 0 && d.UpTo > e.Sequence {
			e.Data, err = marshal(ReadData{UpTo: e.Sequence})
		}
	case MemberJoined, MemberLeft, MemberRemoved, MemberUpdated:
		var d MemberData
		if err = e.Decode(&d); err == nil && !d.User.Valid() {
			err = Errorf(Invalid, "user must be a user's id")
		}
	case RoomCreated, RoomUpdated:
		err = e.Decode(new(RoomData))
	case RouteOpened, RouteClosed:
		err = e.Decode(new(RouteData))
	case SessionRevoked:
		err = e.Decode(new(RevokedData))
	}
	return err
}

func postedOf(e *Event) (d Posted, err error) {
	if err := e.Decode(&d); err != nil {
		return d, err
	}
	if err := checkText(d.Text); err != nil {
		return d, err
	}
	if d.ReplyTo < 0 {
		return d, Errorf(Invalid, "replyTo must be a sequence")
	}
	for _, u := range d.Mentions {
		if !u.Valid() {
			return d, Errorf(Invalid, "mentions must be users' ids")
		}
	}
	if len(d.Attachments) > 0 && d.Attachments[0] != '[' {
		return d, Errorf(Invalid, "attachments must be an array")
	}
	return d, nil
}

func readOf(e *Event) (d ReadData, err error) {
	if err := e.Decode(&d); err != nil {
		return d, err
	}
	if d.UpTo <= 0 {
		return d, Errorf(Invalid, "upTo must be a sequence")
	}
	return d, nil
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

// onlyText returns the text of a message's data when it has nothing but that, in
// the canonical form and with nothing to unescape, as nearly all have. It saves
// the four readers of each message most of the work.
func onlyText(data []byte) ([]byte, bool) {
	text, ok := quotedText(data)
	if !ok {
		return nil, false
	}
	if hasControl(text) {
		return nil, false
	}
	// The two line separators are escaped in the canonical form.
	if bytes.Contains(text, []byte("\u2028")) || bytes.Contains(text, []byte("\u2029")) || !utf8.Valid(text) || hasNoncharacter(text) {
		return nil, false
	}
	return text, true
}

// quotedText returns what is between the quotes of a message's data when that is
// nothing but a text without escapes.
func quotedText(data []byte) ([]byte, bool) {
	text, ok := bytes.CutPrefix(data, []byte(`{"text":"`))
	if !ok {
		return nil, false
	}
	if text, ok = bytes.CutSuffix(text, []byte(`"}`)); !ok {
		return nil, false
	}
	return text, bytes.IndexByte(text, '"') < 0 && bytes.IndexByte(text, '\\') < 0
}

// hasControl tells whether there is a byte below 0x20, eight at a time.
func hasControl(text []byte) bool {
	const ones = 0x0101010101010101
	for ; len(text) >= 8; text = text[8:] {
		if w := binary.LittleEndian.Uint64(text); (w-0x20*ones)&^w&(0x80*ones) != 0 {
			return true
		}
	}
	for _, c := range text {
		if c < 0x20 {
			return true
		}
	}
	return false
}

// hasNoncharacter reports whether valid UTF-8 has one.
func hasNoncharacter(text []byte) bool {
	// Their endings, which few others have, are quicker to look for.
	if !bytes.Contains(text, []byte("\xbf\xbe")) && !bytes.Contains(text, []byte("\xbf\xbf")) && !bytes.Contains(text, []byte("\xef\xb7")) {
		return false
	}
	return bytes.ContainsFunc(text, noncharacter)
}

func checkExtensions(e *Event) error {
	if len(e.Extensions) > maxExtensions {
		return Errorf(Invalid, "more than %d extension attributes", maxExtensions)
	}
	if len(e.TraceParent) > maxExtension {
		return Errorf(Invalid, "%s is over %d bytes", extTraceParent, maxExtension)
	}
	for name, value := range e.Extensions {
		if len(name) > maxExtensionName || len(value) > maxExtension {
			return Errorf(Invalid, "an extension attribute is over %d bytes, or its name over %d", maxExtension, maxExtensionName)
		}
	}
	return nil
}

func checkID(id string) error {
	if len(id) == 0 || len(id) > 64 {
		return Errorf(Invalid, "id must have 1 to 64 characters")
	}
	for i := range len(id) {
		if id[i] < 0x20 || id[i] > 0x7e {
			return Errorf(Invalid, "id must be printable ASCII")
		}
	}
	return nil
}
