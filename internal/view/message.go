package view

import (
	"encoding/json"
	"unicode/utf8"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// Message is a message as one of the room's members sees it now.
type Message struct {
	Sequence    chat.Sequence   `json:"sequence"`
	ID          string          `json:"id"`
	User        chat.UserID     `json:"user"`
	Nickname    string          `json:"nickname"` // of now
	Text        string          `json:"text"`     // of now; empty when the message is deleted
	Time        Time            `json:"time"`
	EditedTime  Time            `json:"editedTime,omitzero"`
	Deleted     bool            `json:"deleted,omitempty"`
	ReplyTo     chat.Sequence   `json:"replyTo,omitzero"`
	Quoted      *Quoted         `json:"quoted,omitempty"` // what it replies to
	Mentions    []chat.UserID   `json:"mentions,omitempty"`
	Attachments json.RawMessage `json:"attachments,omitempty"`
	Reactions   []Reaction      `json:"reactions,omitempty"` // in the order in which the first that stands was added
	Pinned      bool            `json:"pinned,omitempty"`
	UnreadBy    *int            `json:"unreadBy,omitempty"` // where receipts are shown
}

// Quoted is a message that another one replies to.
type Quoted struct {
	User     chat.UserID `json:"user"`
	Nickname string      `json:"nickname"`
	Text     string      `json:"text"` // the beginning of the current one
	Deleted  bool        `json:"deleted,omitempty"`
}

// QuoteOf is how others quote a message.
func QuoteOf(m *Message) *Quoted {
	q := &Quoted{User: m.User, Nickname: m.Nickname, Text: m.Text, Deleted: m.Deleted}
	if utf8.RuneCountInString(q.Text) > MaxQuoted {
		q.Text = string([]rune(q.Text)[:MaxQuoted])
	}
	return q
}

// Reaction is all reactions to a message with one emoji.
type Reaction struct {
	Emoji string          `json:"emoji"`
	Count int             `json:"count"`
	Users []chat.UserID   `json:"users"` // the earliest, at most MaxReactionUsers
	Added []chat.Sequence `json:"added"` // of each of them, the event that added it
	Mine  bool            `json:"mine"`
}

// Bounds of what is shown with a message.
const (
	MaxReactions     = 20  // different emoji
	MaxReactionUsers = 10  // of an emoji, by name
	MaxQuoted        = 200 // code points of a quoted text
)

// MessageOf returns the view of a [chat.MessagePosted] with what has happened to it
// since, which may be nil. Names, quotes and who has read it are the caller's to add. It
// reports false for one that is not to be shown: another program wrote it, or a version
// that checked less, and its data is no message's.
func MessageOf(e *chat.Event, state *projection.State, to chat.UserID) (Message, bool) {
	m := Message{Sequence: e.Sequence, ID: e.ID, User: e.User(), Time: Time{Time: e.Time}}
	var data struct {
		chat.Posted
		Deleted bool `json:"deleted"`
	}
	if state != nil && state.Deleted() {
		m.Deleted = true
		if e.Decode(&data) == nil {
			m.ReplyTo = max(data.ReplyTo, 0)
		}
		return m, true
	}
	if chat.CheckLogged(e) != nil || e.Decode(&data.Posted) != nil {
		return Message{}, false
	}
	m.Text, m.ReplyTo, m.Mentions, m.Attachments = data.Text, data.ReplyTo, data.Mentions, data.Attachments
	if state == nil {
		return m, true
	}
	if state.Replaced() {
		m.Text, m.Mentions, m.EditedTime = state.Text, state.Mentions, Time{Time: state.Edited}
	}
	m.Pinned = state.Pin.On()
	m.Reactions = reactionsOf(state.Reactions, to)
	return m, true
}

// reactionsOf gathers reactions, which are in their order, by emoji.
func reactionsOf(all []projection.Reaction, to chat.UserID) (list []Reaction) {
	at := make(map[string]int)
	for i := range all {
		r := &all[i]
		n, known := at[r.Emoji]
		if !known {
			if len(list) == MaxReactions {
				continue
			}
			n = len(list)
			at[r.Emoji] = n
			list = append(list, Reaction{Emoji: r.Emoji})
		}
		list[n].Count++
		if len(list[n].Users) < MaxReactionUsers {
			list[n].Users, list[n].Added = append(list[n].Users, r.User), append(list[n].Added, r.Since())
		}
		list[n].Mine = list[n].Mine || r.User == to
	}
	return list
}

// Hit is a message that a search has found.
type Hit struct {
	Room chat.RoomID `json:"room"`
	Message
	Highlights [][2]int `json:"highlights"` // start and end of what matched, in UTF-16 code units
}
