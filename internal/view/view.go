// Package view has what the HTTP interface shows of each noun, so that a message
// looks the same wherever one is returned.
package view

import (
	"encoding/json"
	"time"

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
		Time:        Time(e.Time),
		ReplyTo:     data.ReplyTo,
		Mentions:    data.Mentions,
		Attachments: data.Attachments,
	}, true
}

// Time is a time in JSON: RFC 3339 in UTC, always with three digits of
// milliseconds, so that the order of strings is the order of times.
type Time time.Time

// MarshalText implements encoding.TextMarshaler.
func (t Time) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z"), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Time) UnmarshalText(b []byte) error { return (*time.Time)(t).UnmarshalText(b) }
