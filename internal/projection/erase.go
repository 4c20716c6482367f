package projection

import (
	"bytes"
	"encoding/json"
	"slices"

	"knatter.dev/chat"
)

// Erase takes out of a message, or out of an edit of it, what is to be gone once the
// message is deleted: only its place stays. Other events it leaves as they are.
func Erase(e *chat.Event) {
	data := struct {
		Message chat.Sequence `json:"message,omitzero"`
		Deleted bool          `json:"deleted"`
		ReplyTo chat.Sequence `json:"replyTo,omitzero"`
	}{Deleted: true}
	switch e.Type {
	case chat.MessagePosted:
		var d chat.Posted
		if e.Decode(&d) == nil {
			data.ReplyTo = max(d.ReplyTo, 0)
		}
	case chat.MessageEdited:
		data.Message = e.About()
	default:
		return
	}
	e.Data, _ = json.Marshal(data) // numbers and a bool always marshal
}

// Mentioned returns whom a message mentions as it is now, [chat.Everyone] among them,
// in order and each once. A message does not mention its own sender.
func Mentioned(posted *chat.Event, l *Life) []chat.UserID {
	if l.Deleted() {
		return nil
	}
	mentions := l.Mentions
	if !l.Replaced() {
		if !bytes.Contains(posted.Data, []byte("mentions")) && !bytes.Contains(posted.Data, []byte(`\u`)) {
			return nil // as nearly all do: it is not worth decoding
		}
		var d chat.Posted
		if posted.Decode(&d) != nil {
			return nil
		}
		mentions = d.Mentions
	}
	sender := posted.User()
	mentions = slices.DeleteFunc(slices.Clone(mentions), func(u chat.UserID) bool {
		return u == sender || !u.Valid() && u != chat.Everyone
	})
	slices.Sort(mentions)
	return slices.Compact(mentions)
}

// Zero reports whether nothing happened to the message.
func (l *Life) Zero() bool {
	return !l.Deleted() && !l.Replaced() && !l.Pin.On() && l.Pin.Removed == 0
}
