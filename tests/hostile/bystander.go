package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
)

// interval is how long the bystander waits after an ack before the next message.
const interval = 15 * time.Millisecond

// patience is how long anything that must work at all may take.
const patience = 20 * time.Second

// bystander is somebody who talks, and whom attacks must not disturb. It lives in a
// process of its own, see [apart]: in the attackers' own its messages would wait for
// them before they are even sent.
type bystander struct {
	session *client.Session
	conn    *client.Conn
	room    chat.RoomID
}

func newBystander(ctx context.Context, url string) (*bystander, error) {
	s, err := join(ctx, client.New(url), "bystander")
	if err != nil {
		return nil, err
	}
	room, err := s.CreateRoom(ctx, "Quiet corner")
	if err != nil {
		return nil, fmt.Errorf("the bystander's room: %w", err)
	}
	conn, err := s.Connect(ctx, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("the bystander's socket: %w", err)
	}
	go func() {
		for range conn.Events() { // nobody else is there to read them
			continue
		}
	}()
	b := &bystander{session: s, conn: conn, room: room.ID}
	if err := conn.Subscribe(ctx, b.room); err != nil {
		return nil, fmt.Errorf("the bystander's room: %w", err)
	}
	return b, nil
}

// Latency is how long acks took.
type Latency struct {
	P50, P99 time.Duration
	N        int
}

// Talks sends messages for so long and measures their acks. Errors: a message that
// was not acknowledged, a connection that was lost.
func (b *bystander) Talks(length time.Duration, l *Latency) error {
	var took []time.Duration
	connects := b.conn.Stats().Connects
	for begun := time.Now(); time.Since(begun) < length; time.Sleep(interval) {
		sent := time.Now()
		// An ack counts however late it is: the slowest must not be left out.
		within, stop := context.WithTimeout(context.Background(), patience)
		_, err := b.conn.Send(within, b.room, "undisturbed "+rand.Text())
		stop()
		if err != nil {
			return fmt.Errorf("the bystander's message: %w", err)
		}
		took = append(took, time.Since(sent))
	}
	if b.conn.Stats().Connects != connects {
		return errors.New("the bystander was disconnected")
	}
	*l = summary(took)
	return nil
}

// Resumes opens one more socket, as after a reload, and tells how long it took
// until the room was there.
func (b *bystander) Resumes(patience time.Duration, took *time.Duration) error {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	begun := time.Now()
	conn, err := b.session.Connect(ctx, client.Options{})
	if err != nil {
		return fmt.Errorf("the bystander's resume: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SubscribeAfter(ctx, b.room, 0); err != nil {
		return fmt.Errorf("the bystander's resume: %w", err)
	}
	select {
	case <-conn.Events():
		*took = time.Since(begun)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the bystander's resume: nothing came in %v", patience)
	}
}

func summary(took []time.Duration) Latency {
	if len(took) == 0 {
		return Latency{}
	}
	slices.Sort(took)
	return Latency{P50: took[len(took)/2], P99: took[len(took)*99/100], N: len(took)}
}
