package client

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"knatter.dev/chat"
)

// pending is a frame that waits for its answer: an event for its ack, a subscribe frame
// for room.subscribed.
type pending struct {
	id     string
	frame  []byte
	answer chan answer // has room for one
}

type answer struct {
	sequence chat.Sequence
	err      error
}

// Send sends a text message, and returns its sequence once it is durably in the log.
// After a lost connection it sends the message again under the same id. If ctx ends
// before the ack, the message may or may not be in the room. Errors: as
// [Conn.SendEvent].
func (c *Conn) Send(ctx context.Context, room chat.RoomID, text string) (chat.Sequence, error) {
	return c.Post(ctx, room, chat.Posted{Text: text})
}

// Post is Send for a message that is more than a text: a reply, or one with mentions.
// Errors: as of [Conn.SendEvent].
func (c *Conn) Post(ctx context.Context, room chat.RoomID, m chat.Posted) (chat.Sequence, error) {
	return c.send(ctx, chat.MessagePosted, room, m)
}

// Edit replaces text and mentions of one of the user's messages. Errors: NotFound for a
// message that is not there, Forbidden for one of somebody else's or when it is too late;
// as of [Conn.SendEvent].
func (c *Conn) Edit(ctx context.Context, room chat.RoomID, message chat.Sequence, text string, mentions ...chat.UserID) error {
	_, err := c.send(ctx, chat.MessageEdited, room, chat.Edited{About: chat.About{Message: message}, Text: text, Mentions: mentions})
	return err
}

// Delete recalls one of the user's messages or, as an owner or moderator, removes
// anybody's. Errors: as of Edit.
func (c *Conn) Delete(ctx context.Context, room chat.RoomID, message chat.Sequence) error {
	_, err := c.send(ctx, chat.MessageDeleted, room, chat.About{Message: message})
	return err
}

// React adds the user's reaction to a message, and Unreact takes it back. Errors: as of
// Edit, and Invalid for what is not one emoji.
func (c *Conn) React(ctx context.Context, room chat.RoomID, message chat.Sequence, emoji string) error {
	_, err := c.send(ctx, chat.ReactionAdded, room, chat.Reaction{About: chat.About{Message: message}, Emoji: emoji})
	return err
}

// Unreact is told of at React.
func (c *Conn) Unreact(ctx context.Context, room chat.RoomID, message chat.Sequence, emoji string) error {
	_, err := c.send(ctx, chat.ReactionRemoved, room, chat.Reaction{About: chat.About{Message: message}, Emoji: emoji})
	return err
}

// Pin pins a message to its room, and Unpin takes it off. Errors: as of Edit.
func (c *Conn) Pin(ctx context.Context, room chat.RoomID, message chat.Sequence) error {
	_, err := c.send(ctx, chat.MessagePinned, room, chat.About{Message: message})
	return err
}

// Unpin is told of at Pin.
func (c *Conn) Unpin(ctx context.Context, room chat.RoomID, message chat.Sequence) error {
	_, err := c.send(ctx, chat.MessageUnpinned, room, chat.About{Message: message})
	return err
}

// Read tells the room how far the user has read. Errors: as of [Conn.SendEvent].
func (c *Conn) Read(ctx context.Context, room chat.RoomID, upTo chat.Sequence) error {
	_, err := c.send(ctx, chat.ReadAdvanced, room, chat.ReadData{UpTo: upTo})
	return err
}

func (c *Conn) send(ctx context.Context, typ chat.Type, room chat.RoomID, data any) (chat.Sequence, error) {
	e, err := frame(typ, data)
	if err != nil {
		return 0, err
	}
	e.Room = room
	return c.SendEvent(ctx, e)
}

// Typing signals to the others in a room that the user is typing. It neither waits nor
// fails; the server passes on at most one signal in two seconds.
func (c *Conn) Typing(room chat.RoomID) {
	id, err := uuid.NewV7()
	if err != nil {
		return
	}
	e := chat.Event{ID: id.String(), Source: "/client", Type: chat.TypingStarted, Room: room}
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if l != nil {
		l.write(e.AppendFrame(nil))
	}
}

// SendEvent is [Conn.Send] for any event. It fills in an empty ID or Source. To repeat
// an event after a restart of the program, set the ID. What the server cannot accept
// now (TooMany, Unavailable) is sent again until ctx ends. Errors: Forbidden and
// Invalid from the server, TooLarge, Unavailable if the Conn is closed, and what ended
// the Conn.
func (c *Conn) SendEvent(ctx context.Context, e chat.Event) (chat.Sequence, error) {
	if e.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return 0, fmt.Errorf("id: %w", err)
		}
		e.ID = id.String()
	}
	if e.Source == "" {
		e.Source = "/client"
	}
	f := e.AppendFrame(nil)
	if limit := c.Limits().FrameBytes; limit > 0 && len(f) > limit {
		return 0, chat.Errorf(chat.TooLarge, "the event has %d bytes, the server accepts %d", len(f), limit)
	}
	for wait := (backoff{max: c.options.MaxBackoff}); ; {
		sequence, err := c.ask(ctx, e.ID, f)
		if err == nil || !passing(err) || c.ctx.Err() != nil {
			return sequence, err
		}
		if !wait.pause(ctx) {
			return 0, err
		}
	}
}

// ask sends a frame and waits for the answer to id, over as many connections as needed.
func (c *Conn) ask(ctx context.Context, id string, frame []byte) (chat.Sequence, error) {
	p := &pending{id: id, frame: frame, answer: make(chan answer, 1)}
	l, err := c.await(p)
	if err != nil {
		return 0, err
	}
	if l != nil {
		l.write(frame)
	}
	return c.result(ctx, p)
}

// await adds p to the pending frames and returns the link to send it on. If that is
// nil, the next link sends it.
func (c *Conn) await(p *pending) (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return nil, context.Cause(c.ctx)
	}
	c.pending = append(c.pending, p)
	return c.link, nil
}

// result waits for p's answer, and removes p from the pending frames.
func (c *Conn) result(ctx context.Context, p *pending) (chat.Sequence, error) {
	select {
	case a := <-p.answer:
		return a.sequence, a.err
	case <-ctx.Done():
		c.mu.Lock()
		c.pending = slices.DeleteFunc(c.pending, func(other *pending) bool { return other == p })
		c.mu.Unlock()
		return 0, ctx.Err()
	case <-c.done:
		return 0, context.Cause(c.ctx)
	}
}

// settleLocked answers all who wait for id.
func (c *Conn) settleLocked(id string, a answer) {
	c.pending = slices.DeleteFunc(c.pending, func(p *pending) bool {
		if p.id != id {
			return false
		}
		p.answer <- a
		return true
	})
}

// pendingLocked returns the frames to send again.
func (c *Conn) pendingLocked() [][]byte {
	frames := make([][]byte, 0, len(c.pending))
	for _, p := range c.pending {
		frames = append(frames, p.frame)
	}
	return frames
}

func (c *Conn) acked(e *chat.Event) {
	var a Ack
	if e.Decode(&a) != nil {
		return // not an ack: the event will be sent again
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settleLocked(a.Event, answer{sequence: a.Sequence})
}

// refusedEvent is the data of an error frame.
type refusedEvent struct {
	event string
	room  chat.RoomID // for a subscription to several rooms
	err   error
}

func refusal(e *chat.Event) refusedEvent {
	var p struct {
		Event  string      `json:"event"`
		Room   chat.RoomID `json:"room"`
		Status int         `json:"status"`
	}
	if err := e.Decode(&p); err != nil {
		return refusedEvent{err: err}
	}
	return refusedEvent{event: p.Event, room: p.Room, err: problem(p.Status, e.Data)}
}

// frame returns a client's event. The server sets its time.
func frame(typ chat.Type, data any) (chat.Event, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return chat.Event{}, fmt.Errorf("data of %s: %w", typ.Short(), err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return chat.Event{}, fmt.Errorf("id: %w", err)
	}
	return chat.Event{ID: id.String(), Source: "/client", Type: typ, Data: raw}, nil
}
