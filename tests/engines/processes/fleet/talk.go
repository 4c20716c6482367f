package fleet

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
)

// Talk is a story: two people sign up at the first connector and talk to each other,
// one over that, the other over the last one; then they read and search what was
// said.
func Talk(ctx context.Context, f *Fleet) error {
	urls := f.URLs()
	alice, err := newPerson(ctx, urls[0], urls[0], "alice")
	if err != nil {
		return err
	}
	defer alice.conn.Close()
	bob, err := newPerson(ctx, urls[0], urls[len(urls)-1], "bob")
	if err != nil {
		return err
	}
	defer bob.conn.Close()
	room, err := alice.CreateRoom(ctx, "Across")
	if err != nil {
		return err
	}
	if err := bob.Join(ctx, room.ID); err != nil {
		return err
	}
	both := []*person{alice, bob}
	for _, p := range both {
		if err := p.conn.Subscribe(ctx, room.ID); err != nil {
			return err
		}
	}
	var said []string
	for i := range 20 {
		text := fmt.Sprintf("turn %d 회의록", i)
		if _, err := both[i%2].conn.Send(ctx, room.ID, text); err != nil {
			return err
		}
		said = append(said, text)
	}
	for _, p := range both {
		if err := p.sees(ctx, said); err != nil {
			return err
		}
	}
	messages, _, err := bob.Messages(ctx, room.ID, client.Page{FromStart: true, Limit: 100})
	if err != nil {
		return err
	}
	var read []string
	for _, m := range messages {
		read = append(read, m.Text)
	}
	if got, want := strings.Join(read, "\n"), strings.Join(said, "\n"); got != want {
		return fmt.Errorf("history has\n%s\nin place of\n%s", got, want)
	}
	if err := f.Settle(ctx); err != nil {
		return err
	}
	hits, err := alice.finds(ctx, "회의록")
	if err != nil {
		return err
	}
	if len(hits) != len(said) {
		return fmt.Errorf("%d hits, want %d", len(hits), len(said))
	}
	return nil
}

// person is somebody with a session and a socket.
type person struct {
	*client.Session
	name string
	conn *client.Conn
}

// newPerson signs somebody up at one connector and connects to another.
func newPerson(ctx context.Context, at, over, name string) (*person, error) {
	email, password := strings.ToLower(name+"."+rand.Text()+"@processes.test"), "correct horse "+name
	if _, err := client.New(at).SignUp(ctx, email, password, name); err != nil {
		return nil, fmt.Errorf("%s cannot sign up: %w", name, err)
	}
	session, err := client.New(over).LogIn(ctx, email, password)
	if err != nil {
		return nil, fmt.Errorf("%s cannot log in: %w", name, err)
	}
	conn, err := session.Connect(ctx, client.Options{MaxBackoff: time.Second})
	if err != nil {
		return nil, fmt.Errorf("%s cannot connect: %w", name, err)
	}
	return &person{Session: session, name: name, conn: conn}, nil
}

// sees waits for messages with these texts, in this order and with none between.
func (p *person) sees(ctx context.Context, texts []string) error {
	for i := 0; i < len(texts); {
		select {
		case e, ok := <-p.conn.Events():
			if !ok {
				return fmt.Errorf("%s was disconnected: %w", p.name, p.conn.Err())
			}
			if e.Type != chat.MessagePosted {
				continue
			}
			var posted chat.Posted
			if err := e.Decode(&posted); err != nil {
				return err
			}
			if posted.Text != texts[i] {
				return fmt.Errorf("%s sees %q in place of %q", p.name, posted.Text, texts[i])
			}
			i++
		case <-ctx.Done():
			return fmt.Errorf("%s does not see %q: %w", p.name, texts[i], ctx.Err())
		}
	}
	return nil
}

// finds is all that a search finds, as room, sequence and text.
func (p *person) finds(ctx context.Context, text string) (all []string, err error) {
	for what := (client.Search{Text: text, Limit: 50}); ; {
		hits, cursor, err := p.Search(ctx, what)
		if err != nil {
			return nil, fmt.Errorf("%s cannot search: %w", p.name, err)
		}
		for _, h := range hits {
			all = append(all, fmt.Sprint(h.Room, " ", h.Sequence, " ", h.Text))
		}
		if cursor == "" {
			return all, nil
		}
		what.Cursor = cursor
	}
}
