package cluster

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
	"knatter.dev/chat/internal/wait"
)

// Person is somebody who chats, through one of the connectors.
type Person struct {
	*client.Session
	Conn *client.Conn

	t *testing.T
}

// someone signs up, logs in and connects.
func (c *Cluster) someone(t *testing.T, connector int, nickname string) *Person {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	email, password := strings.ToLower(nickname+"."+rand.Text()+"@story.test"), "correct horse "+nickname
	cl := c.Client(connector)
	patiently(t, nickname+" signs up", func(ctx context.Context) (client.User, error) {
		u, err := cl.SignUp(ctx, email, password, nickname)
		if chat.KindOf(err) == chat.Conflict { // an earlier try's answer was lost
			err = nil
		}
		return u, err
	})
	session := patiently(t, nickname+" logs in", func(ctx context.Context) (*client.Session, error) { return cl.LogIn(ctx, email, password) })
	conn, err := session.Connect(ctx, client.Options{MaxBackoff: time.Second, Buffer: 1 << 14})
	if err != nil {
		t.Fatalf("%s cannot connect: %v", nickname, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &Person{Session: session, Conn: conn, t: t}
}

// room is a new room of two people, which both follow.
func (c *Cluster) room(t *testing.T, alice, bob *Person) chat.RoomID {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	room := patiently(t, "alice creates a room", func(ctx context.Context) (client.Room, error) { return alice.CreateRoom(ctx, t.Name()) })
	patiently(t, "bob joins it", func(ctx context.Context) (any, error) { return nil, bob.Join(ctx, room.ID) })
	for _, p := range []*Person{alice, bob} {
		if err := p.Conn.Subscribe(ctx, room.ID); err != nil {
			t.Fatal(err)
		}
	}
	return room.ID
}

// Sends sends a message and returns its place.
func (p *Person) Sends(room chat.RoomID, text string) chat.Sequence {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	sequence, err := p.Conn.Send(ctx, room, text)
	if err != nil {
		p.t.Fatalf("%s cannot send: %v", p.User.Nickname, err)
	}
	return sequence
}

// Sees waits for a message and says when it came.
func (p *Person) Sees(sequence chat.Sequence) time.Time {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e, ok := <-p.Conn.Events():
			if !ok {
				p.t.Fatalf("%s was disconnected: %v", p.User.Nickname, p.Conn.Err())
			}
			if e.Sequence == sequence {
				return time.Now()
			}
		case <-timeout:
			p.t.Fatalf("%s does not see %s", p.User.Nickname, sequence)
		}
	}
}

// Reads is all of a room's history, oldest first.
func (p *Person) Reads(room chat.RoomID) (messages []client.Message) {
	p.t.Helper()
	type page struct {
		messages []client.Message
		more     bool
	}
	for after := chat.Sequence(0); ; {
		got := patiently(p.t, p.User.Nickname+" reads", func(ctx context.Context) (page, error) {
			messages, more, err := p.Messages(ctx, room, client.Page{After: after, FromStart: true, Limit: 200})
			return page{messages, more}, err
		})
		messages = append(messages, got.messages...)
		if !got.more || len(got.messages) == 0 {
			return messages
		}
		after = got.messages[len(got.messages)-1].Sequence
	}
}

// patiently asks again when what it asks for cannot be had yet, as while a function
// comes up from zero, and tells of it.
func patiently[T any](t *testing.T, what string, ask func(context.Context) (T, error)) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for begin := time.Now(); ; wait.For(200*time.Millisecond, ctx.Done()) {
		answer, err := ask(ctx)
		if err == nil {
			return answer
		}
		if chat.KindOf(err) != chat.Unavailable || ctx.Err() != nil {
			t.Fatalf("%s: %v, after %v", what, err, time.Since(begin).Round(time.Millisecond))
		}
		t.Logf("%s: %v, after %v; tried again", what, err, time.Since(begin).Round(time.Millisecond))
	}
}

// Finds searches a room until there are so many hits, and returns them, newest first.
func (p *Person) Finds(room chat.RoomID, text string, count int) []client.Hit {
	p.t.Helper()
	for begin := time.Now(); ; wait.For(200*time.Millisecond, p.t.Context().Done()) {
		ctx, cancel := context.WithTimeout(p.t.Context(), patience)
		hits, _, err := p.Search(ctx, client.Search{Text: text, Room: room, Limit: 100})
		cancel()
		if err == nil && len(hits) >= count {
			return hits
		}
		if time.Since(begin) > patience {
			p.t.Fatalf("%s finds %d of %d for %q: %v", p.User.Nickname, len(hits), count, text, err)
		}
	}
}

// percentile of some times, which it sorts.
func percentile(times []time.Duration, p float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(int(p*float64(len(times))), len(times)-1)].Round(100 * time.Microsecond)
}
