package messages

import (
	"context"
	"fmt"
	"slices"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/emoji"
	"knatter.dev/chat/internal/projection"
	"knatter.dev/chat/internal/view"
)

// maxPinned is how many messages of a room can be pinned.
const maxPinned = 50

// Windows are how long after it was sent a message can be changed by its sender; 0 means
// as long as it is there.
type Windows struct {
	Edit   time.Duration
	Recall time.Duration
}

// Verdict is what is to be done with an event that refers to something in its room:
// logged with this data or, if it has a sequence, acknowledged by that, as it changes
// nothing.
type Verdict struct {
	Data     any           `json:"data,omitempty"`
	Sequence chat.Sequence `json:"sequence,omitzero"`
}

// check is one event and what is known of the message that it is about.
type check struct {
	*Look
	windows Windows
	event   *chat.Event
	self    chat.Membership
	direct  bool // the room is
	posted  chat.Event
	state   *projection.State
}

var (
	errNoMessage = chat.Errorf(chat.NotFound, "no such message")
	errDeleted   = chat.Errorf(chat.NotFound, "the message is deleted")
	errNotYours  = chat.Errorf(chat.Forbidden, "the message is somebody else's")
)

// Check says what is to be done with an event of the look's user, who is in the room as
// self. The event must have passed [chat.CheckSent]. Two checks at the same moment know
// nothing of each other; what counts then is the order in the log.
//
// Errors: NotFound for a message that is not there, or is deleted; Forbidden for who may
// not, or is too late; Conflict for an id that was used for something else; Invalid; the
// stores' own.
func (l *Look) Check(ctx context.Context, e *chat.Event, room chat.Room, self chat.Membership, windows Windows) (Verdict, error) {
	if at, err := l.logged(ctx, e); at != 0 || err != nil {
		return Verdict{Sequence: at}, err
	}
	c := check{Look: l, windows: windows, event: e, self: self, direct: room.Kind == chat.Direct}
	if e.Type == chat.MessagePosted {
		return c.reply(ctx)
	}
	if err := c.find(ctx, e.About()); err != nil {
		return Verdict{}, err
	}
	switch e.Type {
	case chat.MessageEdited:
		return c.edit(ctx)
	case chat.MessageDeleted:
		return c.delete()
	case chat.ReactionAdded, chat.ReactionRemoved:
		return c.react()
	case chat.MessagePinned, chat.MessageUnpinned:
		return c.pin(ctx)
	}
	return Verdict{}, chat.Errorf(chat.Invalid, "%s is about no message", e.Type.Short())
}

// logged is the sequence under which the same event was logged before, 0 if that is not
// known. Errors: Conflict.
func (l *Look) logged(ctx context.Context, e *chat.Event) (chat.Sequence, error) {
	for i := range l.Fresh {
		f := &l.Fresh[i]
		if f.Source == e.Source && f.ID == e.ID {
			if f.Type != e.Type || f.About() != e.About() {
				return 0, errReused
			}
			return f.Sequence, nil
		}
	}
	firsts, err := l.Events.Firsts(ctx, []chat.Event{*e})
	if err != nil || firsts[0] == 0 {
		return 0, err
	}
	only := chat.Range{After: firsts[0] - 1, Before: firsts[0] + 1, Limit: 1}
	stored, _, err := l.Events.Events(ctx, l.Room, only)
	if err != nil {
		return 0, fmt.Errorf("reading an event: %w", err)
	}
	if len(stored) == 1 && (stored[0].Type != e.Type || stored[0].About() != e.About()) {
		return 0, errReused
	}
	return firsts[0], nil
}

var errReused = chat.Errorf(chat.Conflict, "this id was used for another event")

// find reads a message and what happened to it. Errors: NotFound.
func (c *check) find(ctx context.Context, message chat.Sequence) error {
	posted, err := c.At(ctx, []chat.Sequence{message})
	if err != nil {
		return err
	}
	if len(posted) == 0 {
		return errNoMessage
	}
	states, err := c.States(ctx, []chat.Sequence{message})
	if err != nil {
		return err
	}
	c.posted, c.state = posted[0], states[message]
	if c.state == nil {
		c.state = new(projection.State)
	}
	return nil
}

// moderates reports whether the user may do what owners and moderators do.
func (c *check) moderates() bool { return c.self.Role == chat.Owner || c.self.Role == chat.Moderator }

// within reports whether a window of the message is still open.
func (c *check) within(window time.Duration) bool {
	return window == 0 || c.event.Time.Sub(c.posted.Time) <= window
}

func (c *check) reply(ctx context.Context) (Verdict, error) {
	var d chat.Posted
	if err := c.event.Decode(&d); err != nil {
		return Verdict{}, err
	}
	if d.ReplyTo != 0 {
		if err := c.find(ctx, d.ReplyTo); err != nil {
			return Verdict{}, err
		}
		if c.state.Deleted() {
			return Verdict{}, errDeleted
		}
	}
	var err error
	d.Mentions, err = c.mentioned(ctx, d.Mentions)
	return Verdict{Data: d}, err
}

// mentioned are those of the mentions that are members of the room, each once.
func (c *check) mentioned(ctx context.Context, mentions []chat.UserID) (list []chat.UserID, err error) {
	for _, user := range mentions {
		if slices.Contains(list, user) {
			continue
		}
		if user != chat.Everyone {
			m, err := c.Rooms.Membership(ctx, c.Room, user)
			if err != nil && chat.KindOf(err) != chat.NotFound {
				return nil, fmt.Errorf("reading a membership: %w", err)
			}
			if err != nil || !m.Active {
				continue
			}
		}
		list = append(list, user)
	}
	return list, nil
}

func (c *check) edit(ctx context.Context) (Verdict, error) {
	var d chat.Edited
	if err := c.event.Decode(&d); err != nil {
		return Verdict{}, err
	}
	switch {
	case c.state.Deleted():
		return Verdict{}, errDeleted
	case c.posted.User() != c.User:
		return Verdict{}, errNotYours
	case !c.within(c.windows.Edit):
		return Verdict{}, chat.Errorf(chat.Forbidden, "a message can be edited for %v", c.windows.Edit)
	}
	var was chat.Posted
	if err := c.posted.Decode(&was); err != nil {
		return Verdict{}, err
	}
	if d.Text == "" && !was.Attached() {
		return Verdict{}, chat.Errorf(chat.Invalid, "text must have 1 to %d characters, it has 0", chat.MaxText)
	}
	var err error
	d.Mentions, err = c.mentioned(ctx, d.Mentions)
	return Verdict{Data: d}, err
}

func (c *check) delete() (Verdict, error) {
	switch {
	case c.state.Deleted():
		return Verdict{Sequence: c.state.DeletedAt}, nil
	case c.moderates():
	case c.posted.User() != c.User:
		return Verdict{}, errNotYours
	case !c.within(c.windows.Recall):
		return Verdict{}, chat.Errorf(chat.Forbidden, "a message can be recalled for %v", c.windows.Recall)
	}
	return Verdict{Data: chat.About{Message: c.posted.Sequence}}, nil
}

func (c *check) react() (Verdict, error) {
	var d chat.Reaction
	if err := c.event.Decode(&d); err != nil {
		return Verdict{}, err
	}
	var one bool
	if d.Emoji, one = emoji.Qualify(d.Emoji); !one {
		return Verdict{}, chat.Errorf(chat.Invalid, "emoji must be one emoji")
	}
	stands := c.state.Reaction(c.User, d.Emoji)
	add := c.event.Type == chat.ReactionAdded
	switch {
	case add && c.state.Deleted():
		return Verdict{}, errDeleted
	case add && stands != nil:
		return Verdict{Sequence: stands.Since()}, nil
	case add && c.emojiWith(d.Emoji) > view.MaxReactions:
		return Verdict{}, chat.Errorf(chat.Invalid, "a message can have at most %d different emoji", view.MaxReactions)
	case !add && c.state.Deleted():
		return Verdict{Sequence: c.state.DeletedAt}, nil
	case !add && stands == nil:
		return Verdict{Sequence: c.posted.Sequence}, nil
	}
	return Verdict{Data: d}, nil
}

// emojiWith is how many different emoji the message has with one more.
func (c *check) emojiWith(one string) int {
	different := map[string]bool{one: true}
	for i := range c.state.Reactions {
		different[c.state.Reactions[i].Emoji] = true
	}
	return len(different)
}

func (c *check) pin(ctx context.Context) (Verdict, error) {
	if !c.moderates() && !c.direct {
		return Verdict{}, chat.Errorf(chat.Forbidden, "only owners and moderators pin messages")
	}
	pinned := c.state.Pin.On()
	if c.event.Type == chat.MessageUnpinned {
		switch {
		case c.state.Deleted():
			return Verdict{Sequence: c.state.DeletedAt}, nil
		case !pinned:
			return Verdict{Sequence: max(c.state.Pin.Removed, c.posted.Sequence)}, nil
		}
		return Verdict{Data: chat.About{Message: c.posted.Sequence}}, nil
	}
	switch {
	case c.state.Deleted():
		return Verdict{}, errDeleted
	case pinned:
		return Verdict{Sequence: c.state.Pin.Since()}, nil
	}
	all, err := projection.OverPinned(ctx, c.Events, c.Room, c.Fresh)
	if err != nil {
		return Verdict{}, fmt.Errorf("reading what is pinned: %w", err)
	}
	if len(all) >= maxPinned {
		return Verdict{}, chat.Errorf(chat.Invalid, "a room can have at most %d pinned messages", maxPinned)
	}
	return Verdict{Data: chat.About{Message: c.posted.Sequence}}, nil
}
