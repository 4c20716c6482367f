package view

import (
	"encoding/json"

	"knatter.dev/chat"
)

// Message is a message.
type Message struct {
	Sequence    chat.Sequence   `json:"sequence"`
	ID          string          `json:"id"`
	User        chat.UserID     `json:"user"`
	Nickname    string          `json:"nickname"`
	Text        string          `json:"text"`
	Time        Time            `json:"time"`
	ReplyTo     chat.Sequence   `json:"replyTo,omitzero"`
	Mentions    []chat.UserID   `json:"mentions,omitempty"`
	Attachments json.RawMessage `json:"attachments,omitempty"`
}

// MessageOf returns the view of a [chat.MessagePosted] whose sender has the
// nickname. It reports false for one that is not to be shown: another program wrote
// it, or a version that checked less, and its data is no message's.
func MessageOf(e *chat.Event, nickname string) (Message, bool) {
	var data chat.Posted
	if chat.CheckLogged(e) != nil || e.Decode(&data) != nil {
		return Message{}, false
	}
	return Message{
		Sequence:    e.Sequence,
		ID:          e.ID,
		User:        e.User(),
		Nickname:    nickname,
		Text:        data.Text,
		Time:        Time{Time: e.Time},
		ReplyTo:     data.ReplyTo,
		Mentions:    data.Mentions,
		Attachments: data.Attachments,
	}, true
}

// Hit is a message that a search has found.
type Hit struct {
	Room chat.RoomID `json:"room"`
	Message
	Highlights [][2]int `json:"highlights"` // start and end of what matched, in UTF-16 code units
}
