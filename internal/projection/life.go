package projection

import (
	"cmp"
	"context"
	"slices"
	"time"

	"knatter.dev/chat"
)

// Toggle is something that is added and removed again, such as a reaction. Added are
// the sequences of the events that added it after the last one that removed it,
// ascending: the first of them counts, and the others are kept because a removal that
// is applied late can fall between them.
type Toggle struct {
	Added   []chat.Sequence `json:"added,omitempty" bson:"added,omitempty"`
	Removed chat.Sequence   `json:"removed,omitzero" bson:"removed,omitempty"`
}

// Merge adds what from knows and reports whether anything changed.
func (t *Toggle) Merge(from *Toggle) (changed bool) {
	if later(&t.Removed, from.Removed) {
		t.Added = slices.DeleteFunc(slices.Clone(t.Added), func(s chat.Sequence) bool { return s <= t.Removed })
		changed = true
	}
	for _, s := range from.Added {
		if i, found := slices.BinarySearch(t.Added, s); !found && s > t.Removed {
			t.Added = slices.Insert(slices.Clip(t.Added), i, s)
			changed = true
		}
	}
	if len(t.Added) == 0 {
		t.Added = nil
	}
	return changed
}

// On reports whether it is there.
func (t *Toggle) On() bool { return len(t.Added) > 0 }

// Since is the sequence of the event that added it; 0 if it is not there.
func (t *Toggle) Since() chat.Sequence {
	if !t.On() {
		return 0
	}
	return t.Added[0]
}

// Life is what happened to a message after it was posted, but for reactions. Of a
// deleted message nothing but that is kept.
type Life struct {
	EditedAt  chat.Sequence `json:"editedAt,omitzero" bson:"editedAt,omitempty"` // of the edit that counts, the highest
	Edited    time.Time     `json:"edited,omitzero" bson:"edited,omitempty"`
	Text      string        `json:"text,omitempty" bson:"text,omitempty"`
	Mentions  []chat.UserID `json:"mentions,omitempty" bson:"mentions,omitempty"`
	DeletedAt chat.Sequence `json:"deletedAt,omitzero" bson:"deletedAt,omitempty"` // of the first deletion
	Pin       Toggle        `json:"pin,omitzero" bson:"pin,omitempty"`
}

// Merge adds what from knows and reports whether anything changed.
func (l *Life) Merge(from *Life) (changed bool) {
	if l.DeletedAt != 0 || from.DeletedAt != 0 {
		at := l.DeletedAt
		if at == 0 || from.DeletedAt != 0 && from.DeletedAt < at {
			at = from.DeletedAt
		}
		changed = at != l.DeletedAt
		*l = Life{DeletedAt: at}
		return changed
	}
	if later(&l.EditedAt, from.EditedAt) {
		l.Edited, l.Text, l.Mentions = from.Edited, from.Text, from.Mentions
		changed = true
	}
	return l.Pin.Merge(&from.Pin) || changed
}

// Deleted reports whether the message is deleted.
func (l *Life) Deleted() bool { return l.DeletedAt != 0 }

// Replaced reports whether the text is another one than that which was posted.
func (l *Life) Replaced() bool { return l.EditedAt != 0 }

// Reaction is one user's reaction to a message with one emoji.
type Reaction struct {
	User  chat.UserID
	Emoji string
	Toggle
}

// About is what one event says about a message: one of Life and Reaction is set.
type About struct {
	Room     chat.RoomID
	Message  chat.Sequence
	Life     *Life
	Reaction *Reaction
}

// AboutOf returns what an event says about a message; ok is false if that is nothing:
// events of other types, and those about what was not there before them. Errors: Invalid.
func AboutOf(e *chat.Event) (a About, ok bool, err error) {
	if !e.Type.About() || e.Stream.Own() {
		return a, false, nil
	}
	if !e.Stream.Valid() || e.Sequence <= 0 {
		return a, false, chat.Errorf(chat.Invalid, "the event has no room or no sequence")
	}
	if err := chat.CheckLogged(e); err != nil {
		return a, false, err
	}
	a.Room = e.Stream.Room()
	switch e.Type {
	case chat.MessageEdited:
		var d chat.Edited
		err = e.Decode(&d)
		a.Message, a.Life = d.Message, &Life{EditedAt: e.Sequence, Edited: e.Time, Text: d.Text, Mentions: d.Mentions}
	case chat.ReactionAdded, chat.ReactionRemoved:
		a.Message, a.Reaction, err = reactionOf(e)
	default:
		var d chat.About
		err = e.Decode(&d)
		a.Message, a.Life = d.Message, new(Life)
		switch e.Type {
		case chat.MessageDeleted:
			a.Life.DeletedAt = e.Sequence
		case chat.MessagePinned:
			a.Life.Pin.Added = []chat.Sequence{e.Sequence}
		case chat.MessageUnpinned:
			a.Life.Pin.Removed = e.Sequence
		}
	}
	return a, err == nil && a.Message < e.Sequence, err
}

func reactionOf(e *chat.Event) (chat.Sequence, *Reaction, error) {
	user := e.User()
	if !user.Valid() {
		return 0, nil, chat.Errorf(chat.Invalid, "%s must come from a user", e.Type.Short())
	}
	var d chat.Reaction
	if err := e.Decode(&d); err != nil {
		return 0, nil, err
	}
	r := &Reaction{User: user, Emoji: d.Emoji}
	if e.Type == chat.ReactionAdded {
		r.Added = []chat.Sequence{e.Sequence}
	} else {
		r.Removed = e.Sequence
	}
	return d.Message, r, nil
}

// State is all that happened to a message after it was posted.
type State struct {
	Life
	Reactions []Reaction // those that stand, in the order of [Reaction.Since]
}

// Add adds what an event says about the message.
func (s *State) Add(a About) {
	if a.Life != nil {
		s.Merge(a.Life)
	}
	if a.Reaction == nil {
		return
	}
	i := slices.IndexFunc(s.Reactions, func(r Reaction) bool { return r.User == a.Reaction.User && r.Emoji == a.Reaction.Emoji })
	if i < 0 {
		s.Reactions = append(s.Reactions, Reaction{User: a.Reaction.User, Emoji: a.Reaction.Emoji})
		i = len(s.Reactions) - 1
	}
	s.Reactions[i].Merge(&a.Reaction.Toggle)
}

// settle leaves the reactions that stand, in their order.
func (s *State) settle() {
	if s.Deleted() {
		s.Reactions = nil
	}
	s.Reactions = slices.DeleteFunc(s.Reactions, func(r Reaction) bool { return !r.On() })
	slices.SortFunc(s.Reactions, func(a, b Reaction) int { return cmp.Compare(a.Since(), b.Since()) })
}

// Reaction returns a user's reaction with an emoji, nil if it does not stand.
func (s *State) Reaction(user chat.UserID, emoji string) *Reaction {
	for i := range s.Reactions {
		if r := &s.Reactions[i]; r.User == user && r.Emoji == emoji {
			return r
		}
	}
	return nil
}

// Lives are the states of messages, by room and sequence, which an event store keeps
// beside the events. An event that was sent again counts there under its lowest sequence
// alone, as it does in [chat.EventStore].
type Lives interface {
	// Lives returns the states of those of the messages to which something happened.
	// Reactions that do not stand any more are not among them, and of those that do it is
	// only said since when.
	Lives(ctx context.Context, room chat.RoomID, messages []chat.Sequence) (map[chat.Sequence]*State, error)

	// Pinned returns which messages of a room are pinned, in their order.
	Pinned(ctx context.Context, room chat.RoomID) ([]chat.Sequence, error)
}

// Events is an event store that knows the lives of messages.
type Events interface {
	chat.EventStore
	Lives
}

// FoldLives folds events over the states of messages that a store has, those of fresh
// that are about messages which states has a place for, nil where the store knew nothing.
// The events are the room's, and none is one that was sent again. They may be in the
// store already.
func FoldLives(states map[chat.Sequence]*State, fresh []chat.Event) {
	for i := range fresh {
		a, ok, err := AboutOf(&fresh[i])
		if err != nil || !ok {
			continue // what cannot be read goes to the dead letters
		}
		s, wanted := states[a.Message]
		if !wanted {
			continue
		}
		if s == nil {
			s = new(State)
			states[a.Message] = s
		}
		s.Add(a)
	}
	for _, s := range states {
		if s != nil {
			s.settle()
		}
	}
}

// OverPinned returns what is pinned in a room, in the order of pinning, with events
// folded over it as [FoldLives] does.
func OverPinned(ctx context.Context, of Lives, room chat.RoomID, fresh []chat.Event) ([]chat.Sequence, error) {
	messages, err := of.Pinned(ctx, room)
	if err != nil {
		return nil, err
	}
	for i := range fresh {
		if a, ok, err := AboutOf(&fresh[i]); err == nil && ok && a.Life != nil && !slices.Contains(messages, a.Message) {
			messages = append(messages, a.Message)
		}
	}
	states, err := of.Lives(ctx, room, messages)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if states[m] == nil {
			states[m] = nil // a place
		}
	}
	FoldLives(states, fresh)
	messages = slices.DeleteFunc(messages, func(m chat.Sequence) bool { return states[m] == nil || !states[m].Pin.On() })
	slices.SortFunc(messages, func(a, b chat.Sequence) int { return cmp.Compare(states[a].Pin.Since(), states[b].Pin.Since()) })
	return messages, nil
}
