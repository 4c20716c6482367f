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

// pace is how long the bystander waits after an ack before the next message.
const pace = 15 * time.Millisecond

// patience is how long anything that must work at all may take.
const patience = 20 * time.Second

// bystander is somebody who talks, and whom attacks must not disturb.
type bystander struct {
	session *client.Session
	conn    *client.Conn
	room    chat.RoomID
}

func newBystander(ctx context.Context, a *arena) (*bystander, error) {
	s, err := a.person(ctx, "bystander")
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

// latency is how long acks took.
type latency struct {
	p50, p99 time.Duration
	n        int
}

// talks sends messages for so long and measures their acks. Errors: a message that
// was not acknowledged, a connection that was lost.
func (b *bystander) talks(ctx context.Context, length time.Duration) (latency, error) {
	var took []time.Duration
	connects := b.conn.Stats().Connects
	for begun := time.Now(); time.Since(begun) < length && ctx.Err() == nil; time.Sleep(pace) {
		sent := time.Now()
		// An ack counts however late it is: the slowest must not be left out.
		within, stop := context.WithTimeout(context.WithoutCancel(ctx), patience)
		_, err := b.conn.Send(within, b.room, "undisturbed "+rand.Text())
		stop()
		if err != nil {
			return summary(took), fmt.Errorf("the bystander's message: %w", err)
		}
		took = append(took, time.Since(sent))
	}
	if b.conn.Stats().Connects != connects {
		return summary(took), errors.New("the bystander was disconnected")
	}
	return summary(took), nil
}

// resumes opens one more socket, as after a reload, and tells how long it took
// until the room was there.
func (b *bystander) resumes(ctx context.Context) (time.Duration, error) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer stop()
	begun := time.Now()
	conn, err := b.session.Connect(ctx, client.Options{})
	if err != nil {
		return 0, fmt.Errorf("the bystander's resume: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SubscribeAfter(ctx, b.room, 0); err != nil {
		return 0, fmt.Errorf("the bystander's resume: %w", err)
	}
	select {
	case <-conn.Events():
		return time.Since(begun), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("the bystander's resume: nothing came in %v", patience)
	}
}

func summary(took []time.Duration) latency {
	if len(took) == 0 {
		return latency{}
	}
	slices.Sort(took)
	return latency{p50: took[len(took)/2], p99: took[len(took)*99/100], n: len(took)}
}
