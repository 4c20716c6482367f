package tests

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
	"knatter.dev/chat/internal/wait/waittest"
)

// Person is somebody who chats.
type Person struct {
	*client.Session
	Email, Password string

	t      *testing.T
	server *Server
	conn   *client.Conn // nil until it is needed
}

// someone signs up and logs in.
func (s *Server) someone(t *testing.T, nickname string) *Person {
	t.Helper()
	p := &Person{
		Email:    strings.ToLower(nickname + "." + rand.Text() + "@story.test"),
		Password: "correct horse " + nickname,
		t:        t, server: s,
	}
	err := onceThereIsTime(func() error {
		_, err := s.Client().SignUp(t.Context(), p.Email, p.Password, nickname)
		return err
	})
	if err != nil {
		t.Fatalf("%s cannot sign up: %v", nickname, err)
	}
	p.LogsIn()
	return p
}

// onceThereIsTime does something that hashes a password, again while others who do so are
// before us: all stories begin at once.
func onceThereIsTime(do func() error) (err error) {
	waittest.Holds(patience, func() bool {
		err = do()
		return chat.KindOf(err) != chat.Unavailable
	})
	return err
}

// two are two people.
func (s *Server) two(t *testing.T) (alice, bob *Person) {
	t.Helper()
	return s.someone(t, "alice"), s.someone(t, "bob")
}

// LogsIn opens another session.
func (p *Person) LogsIn() {
	p.t.Helper()
	var session *client.Session
	err := onceThereIsTime(func() (err error) {
		session, err = p.server.Client().LogIn(p.t.Context(), p.Email, p.Password)
		return err
	})
	if err != nil {
		p.t.Fatalf("%s cannot log in: %v", p.Email, err)
	}
	p.Session = session
}

// Connects opens a connection of the person's own, which ends with the story.
func (p *Person) Connects(o client.Options) *client.Conn {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	conn, err := p.Connect(ctx, o)
	if err != nil {
		p.t.Fatalf("%s cannot connect: %v", p.User.Nickname, err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Conn is the connection that Follows, Sends and Sees use.
func (p *Person) Conn() *client.Conn {
	p.t.Helper()
	if p.conn == nil {
		p.conn = p.Connects(client.Options{MaxBackoff: time.Second})
	}
	return p.conn
}

// Creates creates a room.
func (p *Person) Creates(name string) chat.RoomID {
	p.t.Helper()
	r, err := p.CreateRoom(p.t.Context(), name)
	if err != nil {
		p.t.Fatalf("%s cannot create a room: %v", p.User.Nickname, err)
	}
	return r.ID
}

// Joins joins rooms.
func (p *Person) Joins(rooms ...chat.RoomID) {
	p.t.Helper()
	for _, room := range rooms {
		if err := p.Join(p.t.Context(), room); err != nil {
			p.t.Fatalf("%s cannot join: %v", p.User.Nickname, err)
		}
	}
}

// Follows follows rooms from now on.
func (p *Person) Follows(rooms ...chat.RoomID) {
	p.t.Helper()
	for _, room := range rooms {
		if err := p.Conn().Subscribe(p.t.Context(), room); err != nil {
			p.t.Fatalf("%s cannot follow: %v", p.User.Nickname, err)
		}
	}
}

// Sends sends a message and returns its place.
func (p *Person) Sends(room chat.RoomID, text string) chat.Sequence {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	sequence, err := p.Conn().Send(ctx, room, text)
	if err != nil {
		p.t.Fatalf("%s cannot send: %v", p.User.Nickname, err)
	}
	return sequence
}

// Sees waits for a message.
func (p *Person) Sees(text string) chat.Event {
	p.t.Helper()
	return p.SeesEvent(fmt.Sprintf("%q", text), func(e *chat.Event) bool { return textOf(p.t, e) == text })
}

// SeesEvent waits for an event that fits and passes over others.
func (p *Person) SeesEvent(what string, fits func(*chat.Event) bool) chat.Event {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e, ok := <-p.Conn().Events():
			switch {
			case !ok:
				p.t.Fatalf("%s was disconnected: %v", p.User.Nickname, p.Conn().Err())
			case fits(&e):
				return e
			}
		case <-timeout:
			p.t.Fatalf("%s does not see %s", p.User.Nickname, what)
		}
	}
}

// SeesUntil is the messages that come before one with this text.
func (p *Person) SeesUntil(text string) []string {
	p.t.Helper()
	var before []string
	p.SeesEvent(text, func(e *chat.Event) bool {
		got := textOf(p.t, e)
		if got != text && got != "" {
			before = append(before, got)
		}
		return got == text
	})
	return before
}

// Reads is a room's messages, all of them, through pages.
func (p *Person) Reads(room chat.RoomID) []client.Message {
	p.t.Helper()
	var all []client.Message
	for page := (client.Page{FromStart: true, Limit: 200}); ; {
		messages, more, err := p.Messages(p.t.Context(), room, page)
		if err != nil {
			p.t.Fatalf("%s cannot read: %v", p.User.Nickname, err)
		}
		all = append(all, messages...)
		if !more {
			return all
		}
		page.After = messages[len(messages)-1].Sequence
	}
}

// ReadsEvents is a room's events, all of them.
func (p *Person) ReadsEvents(room chat.RoomID) []chat.Event {
	p.t.Helper()
	var all []chat.Event
	for page := (client.Page{FromStart: true, Limit: 200}); ; {
		events, err := p.Events(p.t.Context(), room, page)
		if err != nil {
			p.t.Fatalf("%s cannot read: %v", p.User.Nickname, err)
		}
		if len(events) == 0 {
			return all
		}
		all = append(all, events...)
		page.After = events[len(events)-1].Sequence
	}
}

// Finds is all that a search finds, through its pages.
func (p *Person) Finds(what client.Search) []client.Hit {
	p.t.Helper()
	var all []client.Hit
	for {
		hits, cursor, err := p.Search(p.t.Context(), what)
		if err != nil {
			p.t.Fatalf("%s cannot search: %v", p.User.Nickname, err)
		}
		all = append(all, hits...)
		if cursor == "" {
			return all
		}
		what.Cursor = cursor
	}
}

// texts are messages' texts.
func texts(messages []client.Message) []string {
	all := make([]string, 0, len(messages))
	for _, m := range messages {
		all = append(all, m.Text)
	}
	return all
}

// textOf is the text of a message, "" of other events.
func textOf(t *testing.T, e *chat.Event) string {
	t.Helper()
	if e.Type != chat.MessagePosted {
		return ""
	}
	var d chat.Posted
	if err := e.Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d.Text
}

func wantKind(t *testing.T, what string, err error, kind chat.Kind) {
	t.Helper()
	if err == nil || chat.KindOf(err) != kind {
		t.Errorf("%s: got error %v, want one of kind %d", what, err, kind)
	}
}
