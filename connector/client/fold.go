package client

import (
	"cmp"
	"encoding/json"
	"slices"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/view"
)

// Reaction is all reactions to a message with one emoji.
type Reaction = view.Reaction

// Quoted is a message that another one replies to.
type Quoted = view.Quoted

// Fold keeps messages of one room as they are now: it is given pages of history and the
// room's events, in their order, and folds the one over the other. What is between the
// messages that it has is not its concern. It is not safe for concurrent use.
type Fold struct {
	me       chat.UserID
	messages map[chat.Sequence]*folded
	order    []chat.Sequence
	names    map[chat.UserID]named
	recent   []chat.Event // about messages: a page that is under way lacks them
}

// maxRecent is how many events about messages are kept for pages that are loaded later.
const maxRecent = 1000

// folded is a message, and up to where the room's events are in it.
type folded struct {
	Message
	at chat.Sequence
}

type named struct {
	nickname string
	at       chat.Sequence
}

// NewFold returns a fold for one of the room's members.
func NewFold(me chat.UserID) *Fold {
	return &Fold{me: me, messages: make(map[chat.Sequence]*folded), names: make(map[chat.UserID]named)}
}

// Load takes messages of a page of history, which are as the room's events up to at have
// it: see [Session.History]. It replaces what the fold knew of them, unless that is newer.
func (f *Fold) Load(messages []Message, at chat.Sequence) {
	for _, m := range messages {
		if was := f.messages[m.Sequence]; was != nil && was.at > at {
			continue
		}
		f.put(&folded{Message: m, at: at})
		f.call(m.User, m.Nickname, at)
	}
	for i := range f.recent {
		if e := &f.recent[i]; e.Sequence > at {
			f.about(e)
		}
	}
}

// put adds a message, or replaces it.
func (f *Fold) put(m *folded) {
	if i, found := slices.BinarySearch(f.order, m.Sequence); !found {
		f.order = slices.Insert(f.order, i, m.Sequence)
	}
	f.messages[m.Sequence] = m
}

// Messages are the messages, oldest first. Those that nothing was applied to stay the
// same; they are not the caller's to change.
func (f *Fold) Messages() []Message {
	list := make([]Message, len(f.order))
	for i, s := range f.order {
		list[i] = f.messages[s].Message
	}
	return list
}

// Message returns one of the messages.
func (f *Fold) Message(sequence chat.Sequence) (Message, bool) {
	m := f.messages[sequence]
	if m == nil {
		return Message{}, false
	}
	return m.Message, true
}

// Apply folds an event and returns which messages changed by it. Events come in the
// room's order, as [Conn.Events] has them; what a message has already is passed over.
func (f *Fold) Apply(e *chat.Event) (changed []chat.Sequence) {
	switch {
	case e.Type == chat.MessagePosted:
		return f.post(e)
	case e.Type.Member():
		var d chat.MemberData
		if e.Decode(&d) != nil || e.Type == chat.MemberUpdated && d.Changed == chat.ChangedRole {
			return nil
		}
		return f.call(d.User, d.Nickname, e.Sequence)
	case e.Type.About():
		if f.recent = append(f.recent, *e); len(f.recent) > maxRecent {
			f.recent = slices.Delete(f.recent, 0, len(f.recent)-maxRecent)
		}
		return f.about(e)
	}
	return nil
}

// call takes a user's nickname, and returns the messages that show it.
func (f *Fold) call(user chat.UserID, nickname string, at chat.Sequence) (changed []chat.Sequence) {
	if was := f.names[user]; nickname == "" || was.at > at {
		return nil
	}
	f.names[user] = named{nickname, at}
	for _, s := range f.order {
		m := f.messages[s]
		renamed := m.User == user && m.Nickname != nickname
		if renamed {
			m.Nickname = nickname
		}
		if q := m.Quoted; q != nil && q.User == user && q.Nickname != nickname {
			with := *q
			with.Nickname = nickname
			m.Quoted, renamed = &with, true
		}
		if renamed {
			changed = append(changed, s)
		}
	}
	return changed
}

// said is the data of a message that is posted or edited; of a deleted one there is only
// that.
type said struct {
	Message     chat.Sequence   `json:"message"`
	Text        string          `json:"text"`
	ReplyTo     chat.Sequence   `json:"replyTo"`
	Mentions    []chat.UserID   `json:"mentions"`
	Attachments json.RawMessage `json:"attachments"`
	Deleted     bool            `json:"deleted"`
	Emoji       string          `json:"emoji"`
}

func (f *Fold) post(e *chat.Event) []chat.Sequence {
	var d said
	if e.Decode(&d) != nil || f.messages[e.Sequence] != nil {
		return nil
	}
	m := &folded{Message: Message{
		Sequence: e.Sequence, ID: e.ID, User: e.User(), Nickname: f.names[e.User()].nickname, Time: view.Time{Time: e.Time},
		Deleted: d.Deleted, ReplyTo: d.ReplyTo, Text: d.Text, Mentions: d.Mentions, Attachments: d.Attachments,
	}, at: e.Sequence}
	if q := f.messages[d.ReplyTo]; q != nil && !d.Deleted {
		m.Quoted = view.QuoteOf(&q.Message)
	}
	f.put(m)
	return []chat.Sequence{e.Sequence}
}

// about applies an event about a message.
func (f *Fold) about(e *chat.Event) []chat.Sequence {
	var d said
	if e.Decode(&d) != nil {
		return nil
	}
	m := f.messages[d.Message]
	if m == nil || m.Deleted {
		return f.requote(e, &d, nil)
	}
	if e.Sequence <= m.at {
		return nil
	}
	m.at = e.Sequence
	switch e.Type {
	case chat.MessageEdited:
		if d.Deleted {
			return nil // its deletion follows
		}
		m.Text, m.Mentions, m.EditedTime = d.Text, d.Mentions, view.Time{Time: e.Time}
	case chat.MessageDeleted:
		m.Message = Message{
			Sequence: m.Sequence, ID: m.ID, User: m.User, Nickname: m.Nickname, Time: m.Time, ReplyTo: m.ReplyTo,
			Deleted: true,
		}
	case chat.MessagePinned, chat.MessageUnpinned:
		m.Pinned = e.Type == chat.MessagePinned
	case chat.ReactionAdded, chat.ReactionRemoved:
		m.Reactions = f.react(m.Reactions, e.User(), d.Emoji, e.Type == chat.ReactionAdded, e.Sequence)
	}
	return f.requote(e, &d, []chat.Sequence{m.Sequence})
}

// requote lets the messages that reply to one say what it says now.
func (f *Fold) requote(e *chat.Event, d *said, changed []chat.Sequence) []chat.Sequence {
	if e.Type != chat.MessageEdited && e.Type != chat.MessageDeleted {
		return changed
	}
	for _, s := range f.order {
		m := f.messages[s]
		if m.ReplyTo != d.Message || m.Quoted == nil || m.Quoted.Deleted || e.Sequence <= m.at {
			continue
		}
		now := Message{User: m.Quoted.User, Nickname: m.Quoted.Nickname, Text: d.Text, Deleted: d.Deleted || e.Type == chat.MessageDeleted}
		m.Quoted = view.QuoteOf(&now)
		changed = append(changed, s)
	}
	return changed
}

// react is the reactions with a user's one added or removed by an event at a sequence.
func (f *Fold) react(all []Reaction, user chat.UserID, emoji string, add bool, at chat.Sequence) []Reaction {
	all = slices.Clone(all)
	i := slices.IndexFunc(all, func(r Reaction) bool { return r.Emoji == emoji })
	if i < 0 {
		if !add {
			return all
		}
		all = append(all, Reaction{Emoji: emoji})
		i = len(all) - 1
	}
	r := &all[i]
	place := slices.Index(r.Users, user)
	complete := r.Count == len(r.Users)
	switch {
	case add == (place >= 0) && (add || complete):
		return all // as it was
	case add:
		r.Count++
		if complete && len(r.Users) < view.MaxReactionUsers {
			r.Users, r.Added = append(slices.Clip(r.Users), user), append(slices.Clip(r.Added), at)
		}
	default:
		r.Count--
		if place >= 0 {
			r.Users = slices.Delete(slices.Clone(r.Users), place, place+1)
			r.Added = slices.Delete(slices.Clone(r.Added), place, place+1)
		}
	}
	if user == f.me {
		r.Mine = add
	}
	if r.Count <= 0 {
		return slices.Delete(all, i, i+1)
	}
	slices.SortStableFunc(all, func(a, b Reaction) int { return cmp.Compare(since(&a), since(&b)) })
	return all
}

// since is when the first reaction that stands was added; before all others where that is
// not known, as so many were.
func since(r *Reaction) chat.Sequence {
	if len(r.Added) == 0 {
		return 0
	}
	return r.Added[0]
}
